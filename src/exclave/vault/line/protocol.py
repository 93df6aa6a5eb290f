"""Which version of the protocol two programs speak with each other (spec/vault-http.md 0).

    choose_protocol(theirs, ...)      the highest that both speak; raises `ProtocolsApart`

A program speaks its own version and the one before it, so that home, vaults and readers are
upgraded one at a time. Rule: what a vault says that it speaks is asked over the connection of its
pinned identity; nothing is tried on the off chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exclave import __version__
from exclave.authority.fields import Node
from exclave.encoding import canonical_json, parse_canonical_json
from exclave.errors import VaultError
from exclave.ids import MissionId
from exclave.values import dataclass

__all__ = [
    "ASKED_AT",
    "PROTOCOLS",
    "SOFTWARE",
    "ProtocolsApart",
    "Spoken",
    "choose_protocol",
    "protocols_text",
    "read_spoken",
    "write_spoken",
]

PROTOCOLS: Final = (1, 2)
"""The version before this program's, and its own."""
SOFTWARE: Final = f"exclave {__version__}"
ASKED_AT: Final = "/v1/status"
"""The one path that no version changes."""
_MOST: Final = 64
_HIGHEST: Final = 10**6


class ProtocolsApart(VaultError):
    """A vault and this program have no version of the protocol in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What a vault says of itself before anything else is asked."""

    protocols: tuple[int, ...]  # ascending
    software: str


def write_spoken(protocols: Sequence[int], missions: Sequence[MissionId]) -> bytes:
    """What a vault answers whoever asks which versions it speaks."""
    return canonical_json(
        {
            "protocol": list(protocols),
            "software": SOFTWARE,
            "missions": [*sorted(mission.hex() for mission in missions)],
        }
    )


def read_spoken(data: bytes) -> Spoken:
    """The versions and the software of a vault; whatever later versions add is passed over."""
    value = parse_canonical_json(data, subject="vault status")
    names = ("protocol", "software")
    if isinstance(value, dict):
        value = {name: value[name] for name in names if name in value}
    fields = Node(value, "vault status").fields(*names)
    protocols = fields["protocol"].each(lambda node: node.integer(1, _HIGHEST), least=1, most=_MOST)
    return Spoken(protocols=tuple(sorted(set(protocols))), software=fields["software"].text())


def choose_protocol(spoken: Spoken, *, ours: Sequence[int], party: str) -> int:
    """The highest version that both speak; raises `ProtocolsApart`, which names both."""
    both = set(spoken.protocols) & set(ours)
    if both:
        return max(both)
    theirs = protocols_text(spoken.protocols)
    old = max(spoken.protocols) < min(ours)
    raise ProtocolsApart(
        f"{party}: expected protocol {protocols_text(ours)} ({SOFTWARE}), "
        f"got {theirs} ({spoken.software[:80]})",
        hint=(
            "the vault is more than one version behind: its host upgrades it, one version at a time"
            if old
            else "this program is more than one version behind: upgrade it, one version at a time"
        ),
    )


def protocols_text(protocols: Sequence[int]) -> str:
    """`2`, or `1 or 2`."""
    return " or ".join(map(str, protocols))
