"""Which keys of its state a vault's folder pins for a mission (spec/vault-folder.md 2).

Rules: what cannot be read exactly is an error and never "none"; an earlier key counts up to the
moment at which another one was pinned, and no longer.
"""

from __future__ import annotations

import re
from typing import Final, Self

from exclave.errors import ConfigurationError
from exclave.ids import KeyId
from exclave.values import dataclass

__all__ = ["AgreementPins"]

_KEY: Final = re.compile(r"[0-9a-f]{64}")
_EARLIER: Final = re.compile(r"([0-9a-f]{64}) (0|[1-9][0-9]{0,17})")
_MOST: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementPins:
    """The key in use, and those before it with the service time up to which each counts."""

    key: KeyId
    earlier: tuple[tuple[KeyId, int], ...] = ()

    @classmethod
    def parse(cls, data: bytes, subject: str) -> Self:
        """Read the file; raises `ConfigurationError`."""
        first, *others = data.decode("ascii", "replace").removesuffix("\n").split("\n")
        found = [_EARLIER.fullmatch(line) for line in others]
        if not _KEY.fullmatch(first) or None in found or len(others) > _MOST:
            raise ConfigurationError(
                f"{subject}: expected a key id of 64 hex digits, got something else"
            )
        earlier = tuple((KeyId(item[1]), int(item[2])) for item in found if item is not None)
        return cls(key=KeyId(first), earlier=earlier)

    def followed_by(self, key: KeyId, service_ms: int) -> AgreementPins:
        """After another key was pinned at a service time; raises `ConfigurationError` beyond 16."""
        if len(self.earlier) == _MOST:
            raise ConfigurationError(f"agreement-key: expected at most {_MOST} changes, got more")
        return AgreementPins(key=key, earlier=((self.key, service_ms), *self.earlier))

    def encode(self) -> bytes:
        """The file's bytes."""
        lines = [self.key, *(f"{key} {until}" for key, until in self.earlier)]
        return "".join(f"{line}\n" for line in lines).encode("ascii")
