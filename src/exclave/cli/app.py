"""What commands there are, each named by where it lies and by the line that the list shows of it.

One rule keeps every start quick: a command's module is imported when that command runs or explains
itself, never for another one. Command modules in turn import workflows inside their commands, and
those import what only some of their ways need inside functions (`exclave.wiring`).
`tests/scripts/test_start_up.py` says what no command may load. What reads a line of words: `plain`
where nothing about it is in question, else `tree`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["COMMANDS"]

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "found": ("found:found", "Found a mission: keys, share cards, charter."),
    "official": ("official:official", "An official's keys."),
    "sign": (
        "official:sign",
        (
            "Show what a charter, warrant or order says, ask, and add an official's signature to "
            "its file."
        ),
    ),
    "signatures": ("signatures:signatures", "Signatures that were made elsewhere."),
    "charter": ("charter:charter", "The mission's charter: draft the next one."),
    "lockdown": (
        "orders:lockdown",
        "Freeze home at once: only the exile rosters act from then on, and only they end it.",
    ),
    "veto": (
        "orders:veto",
        (
            "Stop a waiting warrant, charter or order; one official of alarm, exile_1 or exile_2 "
            "suffices."
        ),
    ),
    "hold": (
        "orders:hold",
        "Let nothing of these deposits be removed from any vault until the hold is lifted.",
    ),
    "extend": ("orders:extend", "Keep these deposits longer; nobody shortens it again."),
    "compromise": (
        "orders:compromise",
        "Declare that from a moment on depositors' keys were not only theirs.",
    ),
    "release": (
        "orders:release",
        (
            "Let exactly these packs be removed once nothing else keeps them; needs the release "
            "roster."
        ),
    ),
    "lift": ("orders:lift", "End holds; needs the release roster."),
    "narrow": (
        "orders:narrow",
        "Say that a compromise began later, or never was; needs the govern roster.",
    ),
    "unlock": ("orders:unlock", "End lockdowns; needs an exile roster, and name all that stand."),
    "submit": (
        "orders:submit",
        "Hand a statement's file to every vault that can be reached; ends with 0 when one took it.",
    ),
    "standing": (
        "standing:standing",
        "Show what stands at each vault: charters, lockdowns, statements with their hashes, holds.",
    ),
    "agreement": (
        "agreement:agreement",
        "Agreements of a sending and a receiving state.",
    ),
    "vault": ("vault:vault", "A vault in a receiving state."),
    "line": ("line:line", "Private lines: WireGuard and nftables."),
    "depositor": ("depositor:depositor", "A depositing machine's keys."),
    "deposit": ("deposit:deposit", "Capture registers, seal them and lodge them in the vaults."),
    "deposits": (
        "deposit:deposits",
        "List deposits: from the vaults (opaque ids), or with the depositor's config (titles).",
    ),
    "show": ("deposit:show", "Show one deposit of the catalogue."),
    "diff": (
        "diff:diff",
        "Show what changed between two deposits of the catalogue: tables, folders, files.",
    ),
    "status": (
        "deposit:status",
        "Show each declared register: age against its RPO, seats, last proof and drill; the spool.",
    ),
    "metrics": ("metrics:metrics", "Print home's figures once in Prometheus' text format."),
    "check": (
        "check:check",
        "Try everything a deposit needs, and say what lies ahead: a forecast, drills, bags, cards.",
    ),
    "agent": ("agent:agent", "Exclave by itself: deposits, proofs and checks by a calendar."),
    "bag": ("bag:bag", "The diplomatic bag: carried media."),
    "sheet": ("sheet:sheet", "Small files on paper: cards, charters, checkpoints as QR codes."),
    "warrant": ("warrant:warrant", "Ask officials and vaults to let this machine read."),
    "card": ("card:card", "Share cards: confirm that one is still there."),
    "unseal": (
        "unseal:unseal",
        "Show what a request would give out, take share cards, and answer to its one-time key.",
    ),
    "reconstruct": (
        "reconstruct:reconstruct",
        (
            "Restore a deposit into empty targets and compare every row and file with what was "
            "captured."
        ),
    ),
    "limits": ("proof:limits", "Say what this software cannot promise under a charter."),
    "verify-receipt": (
        "proof:verify_receipt",
        (
            "Check a receipt offline: which entry a vault put into its log, and which witnesses "
            "saw it."
        ),
    ),
    "verify-report": (
        "proof:verify_report",
        (
            "Check a report offline: officials allowed the reading, and the reader they named "
            "signed it."
        ),
    ),
    "certificate": ("certificate:certificate", "Proofs, drills and the auditor's certificate."),
    "verify-certificate": (
        "certificate:verify_certificate",
        "Check a proof, a drill or an auditor's certificate offline, with the charter alone.",
    ),
    "demo": (
        "proof:demo",
        "Show the whole way on this machine: registers, three vaults, homeland lost, rebuilt.",
    ),
    "drill": (
        "drill:drill",
        "Reconstruct a deposit into quarantine, prove it, run its assertions, write a certificate.",
    ),
    "monitor": (
        "monitor:monitor",
        "Follow all vaults' logs, and name what is wrong, at which vault, and what waits.",
    ),
    "--install-completion": (
        "completion:install_completion",
        "Install shell completion for this application.",
    ),
}
"""By name: module of this package and object in it; what the list of commands says of it."""
