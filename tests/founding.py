"""A mission for tests: the parties of examples/founding.toml, with their keys and requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from exclave.authority.charter_parts import Address
from exclave.authority.envelope import Envelope, Kind
from exclave.authority.keys import ML_DSA_44, X_WING
from exclave.authority.seat_request import SeatRequest, seat_request_payload
from exclave.found.plan import FoundingPlan, load_founding_plan
from exclave.signer.bundle import KeyBundle
from exclave.signer.file import public_keys_bytes
from exclave.signer.interface import sign_envelope
from exclave.signer.parties import new_official_key, new_vault_key
from exclave.vault.line.identity import new_identity

__all__ = ["NOW", "Founding", "make_founding", "seat_request"]

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EXAMPLE = Path(__file__).parents[1] / "examples" / "founding.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Founding:
    """A plan with everything that it names, and the private keys behind it."""

    folder: Path
    path: Path
    officials: dict[str, KeyBundle]  # by label
    vaults: dict[str, KeyBundle]

    @property
    def plan(self) -> FoundingPlan:
        """The plan as it stands in its file now."""
        return load_founding_plan(self.path)

    def edit(self, old: str, new: str) -> None:
        """Change the plan's text; `old` must be there."""
        text = self.path.read_text()
        assert old in text
        self.path.write_text(text.replace(old, new))


def seat_request(vault: str, state: str, keys: KeyBundle) -> Envelope:
    """A seat request as `vault init` makes it, signed."""
    log_key, seat_key, cosigner, cosigner_pq = keys.keys
    assert seat_key.alg == X_WING
    assert cosigner_pq.alg == ML_DSA_44
    request = SeatRequest(
        vault=vault,
        state=state,
        operator=f"operator of {vault}",
        addresses=(Address(data="127.0.0.1:7001", public="127.0.0.1:7002"),),
        identity=new_identity(vault, NOW).certificate,
        log_key=log_key.key,
        seat_key=seat_key.key,
        witness_keys=(cosigner.key, cosigner_pq.key),
        receiving_state_key=None,
        created=NOW,
    )
    envelope = Envelope(payload=seat_request_payload(request), kind=Kind.SEAT_REQUEST)
    return sign_envelope(envelope, [log_key])


def make_founding(folder: Path, random: Callable[[int], bytes]) -> Founding:
    """Make keys and requests for the example plan in `folder`."""
    path = folder / "founding.toml"
    path.write_bytes(EXAMPLE.read_bytes())
    plan = load_founding_plan(path)
    officials: dict[str, KeyBundle] = {}
    (folder / "officials").mkdir()
    for item in plan.official:
        officials[item.label] = new_official_key(random)
        (folder / item.keys).write_bytes(public_keys_bytes(officials[item.label]))
    vaults: dict[str, KeyBundle] = {}
    (folder / "requests").mkdir()
    for seat, state in zip(plan.seat, ("XB", "XC", "XD"), strict=True):
        name = Path(seat.request).stem
        vaults[name] = new_vault_key(name, random)
        request = seat_request(name, state, vaults[name])
        (folder / seat.request).write_bytes(request.to_bytes())
    return Founding(folder=folder, path=path, officials=officials, vaults=vaults)
