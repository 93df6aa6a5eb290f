"""Which addresses a vault may be bound to (spec/vault-http.md 1).

A vault is reached over private lines: a public or wildcard address is a mistake until somebody
says `unsafe_public_bind`. Addresses are numbers, so that no name server takes part.
"""

from __future__ import annotations

import ipaddress
import re

from exclave.errors import ConfigurationError
from exclave.values import dataclass

__all__ = ["Address", "AddressPublic", "check_bind", "check_metrics", "parse_address"]

_V4 = re.compile(r"(?P<host>[0-9.]+):(?P<port>[0-9]{1,5})")
_V6 = re.compile(r"\[(?P<host>[0-9a-fA-F:.]+)\]:(?P<port>[0-9]{1,5})")
# Not `is_private`: that also lets documentation and benchmark networks pass.
_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
        "169.254.0.0/16", "::1/128", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip


class AddressPublic(ConfigurationError):
    """A listener would be bound where anybody can reach it."""


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address in numbers and a port; 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read `a.b.c.d:port` or `[v6]:port`; raises `ConfigurationError`."""
    match = _V4.fullmatch(text) or _V6.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ConfigurationError(f"address: expected a.b.c.d:port or [v6]:port, got {text[:60]!r}")
    try:
        host = ipaddress.ip_address(match["host"])
    except ValueError as error:
        raise ConfigurationError(f"address: no such address: {match['host'][:60]!r}") from error
    return Address(str(host), int(match["port"]))


def check_bind(address: Address, *, unsafe_public_bind: bool = False) -> None:
    """Refuse wildcard and public addresses; raises `AddressPublic`."""
    host = ipaddress.ip_address(address.host)
    if isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped is not None:
        host = host.ipv4_mapped
    if unsafe_public_bind or any(host in network for network in _PRIVATE):
        return
    kind = "the wildcard address" if host.is_unspecified else "a public address"
    raise AddressPublic(
        f"listener: expected a private or loopback address, got {kind} {address.host}",
        hint="bind to the private line's address, or set unsafe_public_bind",
    )


def check_metrics(address: Address, *, unsafe: bool = False) -> None:
    """Refuse to show figures to other machines; raises `AddressPublic`."""
    if not (unsafe or ipaddress.ip_address(address.host).is_loopback):
        raise AddressPublic(
            f"metrics: expected a loopback address, got {address.host}",
            hint="let Prometheus ask on this machine, or set unsafe_public_metrics",
        )
