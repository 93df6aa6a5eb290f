"""What `vault.toml` may say.

Only the shape: reading the file, with line numbers for errors, is `exclave.config`'s.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from exclave.errors import ConfigurationError
from exclave.vault.addresses import check_bind, parse_address

__all__ = ["Limits", "VaultConfig"]


def _address(text: str) -> str:
    try:
        parse_address(text)
    except ConfigurationError as error:
        raise ValueError(error.message) from error
    return text


AddressText = Annotated[str, AfterValidator(_address)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Limits(_Strict):
    """What one peer may ask of the vault at once."""

    uploads_per_peer: int = Field(default=16, ge=1, le=256)
    requests_per_peer: int = Field(default=64, ge=1, le=1024)
    statements_per_minute: int = Field(default=600, ge=1)
    idle_seconds: int = Field(default=60, ge=1, le=3600)
    """A body that brings nothing for so long is given up."""
    shard_bytes: int = Field(default=80 * 2**20, ge=2**20)
    """The largest shard taken."""


class VaultConfig(_Strict):
    """`vault.toml`; addresses are `ip:port`."""

    unsafe_public_bind: bool = False
    data: AddressText
    public: AddressText
    require_agreement: bool = False
    """Missions that are enrolled from now on deposit under an agreement only."""
    min_free_bytes: int = Field(default=64 * 2**20, ge=0)
    """Room that uploads leave on the disk, so that the log can always be written."""
    limits: Limits = Limits()

    @field_validator("data", "public")
    @classmethod
    def _private(cls, text: str, info: ValidationInfo) -> str:
        try:
            check_bind(
                parse_address(text),
                unsafe_public_bind=bool(info.data.get("unsafe_public_bind", False)),
            )
        except ConfigurationError as error:
            raise ValueError(error.message) from error
        return text
