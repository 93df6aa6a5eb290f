"""What `vault.toml` may say.

Only the shape: reading the file, with line numbers for errors, is `exclave.config`'s.
"""

from __future__ import annotations

from typing import Annotated

from exclave.errors import ConfigurationError
from exclave.shapes import Between, Checked, Unfit
from exclave.values import dataclass
from exclave.vault.line.addresses import check_bind, check_metrics, parse_address

__all__ = ["Limits", "SeatConfig", "VaultConfig"]


def _address(text: str) -> None:
    try:
        parse_address(text)
    except ConfigurationError as error:
        raise ValueError(error.message) from error


AddressText = Annotated[str, Checked(_address)]


def _bind_faults(data: str, public: str, *, unsafe_public_bind: bool) -> dict[str, str]:
    """What is wrong with addresses that listeners must not have, by their keys."""
    faults: dict[str, str] = {}
    for key, text in (("data", data), ("public", public)):
        try:
            check_bind(parse_address(text), unsafe_public_bind=unsafe_public_bind)
        except ConfigurationError as error:
            faults[key] = error.message
    one, other = parse_address(data), parse_address(public)
    if one == other and one.port:
        faults["public"] = f"listener: expected another address than data has, got {public}"
    return faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one peer may ask of the vault at once."""

    uploads_per_peer: Annotated[int, Between(1, 256)] = 16
    requests_per_peer: Annotated[int, Between(1, 1024)] = 64
    statements_per_minute: Annotated[int, Between(1)] = 600
    idle_seconds: Annotated[int, Between(1, 3600)] = 60
    """A body that brings nothing for so long is given up."""
    shard_bytes: Annotated[int, Between(2**20)] = 80 * 2**20
    """The largest shard taken."""
    connections: Annotated[int, Between(8, 65536)] = 1024
    """Of everybody at one listener: a guest's flood leaves the other guests theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatConfig:
    """`seat.toml`: where a further seat of the installation listens."""

    unsafe_public_bind: bool = False
    data: AddressText
    public: AddressText

    def __post_init__(self) -> None:
        faults = _bind_faults(self.data, self.public, unsafe_public_bind=self.unsafe_public_bind)
        if faults:
            raise Unfit(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultConfig:
    """`vault.toml`; addresses are `ip:port`, private ones unless the file says otherwise.

    `data` and `public` are the first seat's; further ones have `seat.toml`.
    """

    unsafe_public_bind: bool = False
    data: AddressText
    public: AddressText
    require_agreement: bool = False
    """Missions that are enrolled from now on deposit under an agreement only."""
    metrics: AddressText | None = None
    """Where figures are shown to the host's Prometheus, on this machine; nowhere if not set."""
    unsafe_public_metrics: bool = False
    min_free_bytes: Annotated[int, Between(0)] = 64 * 2**20
    """Room that uploads leave on the disk, so that the log can always be written."""
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        faults = _bind_faults(self.data, self.public, unsafe_public_bind=self.unsafe_public_bind)
        if self.metrics is not None:
            try:
                check_metrics(parse_address(self.metrics), unsafe=self.unsafe_public_metrics)
            except ConfigurationError as error:
                faults["metrics"] = error.message
        if faults:
            raise Unfit(faults)
