"""What the vaults attest about a deposit, and what they answer to somebody who would delete it.

Receipts are checked by the real command, from files alone; the deletion is tried over the real
line with the depositor's own key, and looked for in the vault's folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from exclave.certificate.receipts import verify_seat_receipt
from exclave.demo.mission import Home, HostedVault
from exclave.demo.narration import Narrator
from exclave.demo.reach import Reach, stored_objects
from exclave.demo.stage import Stage
from exclave.values import dataclass
from exclave.vault.line.identity import load_identity
from exclave.wiring.reader import load_card, survey_card

__all__ = ["Attested", "Refused", "show_receipts", "try_deletion"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """One vault's receipt for the newest deposit."""

    seat: int
    witnesses: tuple[str, ...]
    quorum: int

    @property
    def cosigned(self) -> bool:
        """Whether a quorum of vaults stands behind it."""
        return len(self.witnesses) >= self.quorum


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """What a vault answered, and what became of its files."""

    answers: Mapping[str, int]  # HTTP status by verb
    files: int
    unchanged: bool


def show_receipts(stage: Stage, narrator: Narrator, home: Home, reach: Reach) -> Sequence[Attested]:
    """Fetch each vault's receipt for the newest deposit and have it checked offline."""
    view = survey_card(load_card(sorted(home.cards.glob("card-*.txt"))[0]))
    record = hashlib.sha256(view.deposits[0].envelope.to_bytes()).digest()
    place = stage.make("home", "receipts")
    found: list[Attested] = []
    for seat in view.deposits[0].lodged:
        file = place / f"seat-{seat}.txt"
        _fetch(reach, int(seat), record, file)
        said = stage.run("verify-receipt", file, "--charter", home.charter)
        names = tuple(str(item["name"]) for item in said["witnesses"])
        attested = Attested(seat=int(seat), witnesses=names, quorum=said["quorum"])
        narrator.say(
            f"receipt of seat {seat}, checked offline: cosigned by {len(names)} of 3 vaults, "
            f"{attested.quorum} required"
        )
        found.append(attested)
    return found


def try_deletion(narrator: Narrator, home: Home, vault: HostedVault, reach: Reach) -> Refused:
    """Delete and overwrite a shard with the depositor's key; the vault's files stay as they are."""
    folder = vault.folder / "missions" / reach.charter.mission_id.hex()
    before = stored_objects(folder)
    shard = next(Path(name).name for name in before if name.startswith("shards/"))
    identity = load_identity(home.mission / "depositors" / "home" / "identity.pem")
    answers: dict[str, int] = {}
    for verb, body in (("DELETE", b""), ("PUT", os.urandom(4096))):
        (answers[verb],) = reach.send(vault.host.seat, identity, [(verb, f"shards/{shard}", body)])
    after = stored_objects(folder)
    changed = sum(after.get(name) != digest for name, digest in before.items())
    narrator.say(f"with the depositor's key at seat {vault.host.seat}, over mutual TLS:")
    narrator.say(f"DELETE of shard {shard[:8]}: {answers['DELETE']}, there is no such verb")
    narrator.say(f"PUT of other bytes under its name: {answers['PUT']}, it is there already")
    narrator.say(f"{len(before)} files of the vault hashed before and after: {changed} changed")
    return Refused(answers=answers, files=len(before), unchanged=bool(before) and not changed)


def _fetch(reach: Reach, seat: int, record: bytes, file: Path) -> None:
    """A receipt is provisional until the other vaults answered, a moment later."""

    def cosigned() -> bool:
        data = reach.receipt(seat, record)
        file.write_bytes(data)
        return verify_seat_receipt(data, [reach.charter]).cosigned

    reach.until(cosigned)
