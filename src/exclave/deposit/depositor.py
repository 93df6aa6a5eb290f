"""Who deposits: identity, keys and the layout of its charter, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from exclave.authority.charter import Charter
from exclave.ids import Epoch, MissionId, Seat
from exclave.sealing.recovery import XWingPublicKey
from exclave.signer.interface import Signer
from exclave.values import dataclass, field

if TYPE_CHECKING:
    from exclave.authority.record_chain import Author

__all__ = ["DepositorParty"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositorParty:
    """A depositor under the charter in force."""

    id: str
    charter: Charter
    signers: tuple[Signer, ...]  # Ed25519 and ML-DSA-65
    dedup_key: bytes = field(repr=False)

    @property
    def mission(self) -> MissionId:
        """The mission deposited to."""
        return self.charter.mission_id

    @property
    def author(self) -> Author:
        """Whose chain of records this party makes: its id with these keys."""
        from exclave.authority.record_chain import Author

        keys = tuple(signer.key.key_id for signer in self.signers)
        return Author(depositor=self.id, keys=keys)

    @property
    def epoch(self) -> Epoch:
        """Epoch of the recovery key in use."""
        return self.charter.current_epoch.epoch

    @property
    def recovery(self) -> XWingPublicKey:
        """The key that deposit secrets are sealed to."""
        return self.charter.current_epoch.key.xwing

    @property
    def seats(self) -> tuple[Seat, ...]:
        """Numbers of the seats in use, ascending."""
        return tuple(entry.seat for entry in self.charter.active_seats)

    @property
    def states(self) -> Mapping[Seat, str]:
        """Receiving state of each seat."""
        return {entry.seat: entry.state for entry in self.charter.active_seats}
