"""A hub with two guests, as values: what the tests of this folder start from."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from exclave.ids import MissionId, Seat
from exclave.private_line.values import LineKey, MissionLines, Party, Role
from exclave.vault.line.addresses import Address

HUB = "hub"


def key(number: int) -> LineKey:
    """A public key that is only a number."""
    return LineKey(bytes([number]) * 32)


def vault(name: str = HUB, seat: int = 1, number: int = 1, **changed: object) -> Party:
    """A vault at 10.20.0.<seat>."""
    values: dict[str, object] = {
        "key": key(number),
        "outer": Address(f"198.51.100.{seat}", 51820 + number),
        "data": Address(f"10.20.0.{seat}", 8443),
        "public": Address(f"10.20.0.{seat}", 8444),
    }
    return Party.vault(name, Seat(seat), **(values | changed))  # type: ignore[arg-type]


def caller(
    name: str, inner: str, number: int, role: Role = Role.DEPOSITOR, outer: str | None = "192.0.2.1"
) -> Party:
    """A party that calls; without `outer` it is behind a translator."""
    return Party(
        name=name,
        role=role,
        key=key(number),
        outer=None if outer is None else Address(outer, 51820),
        inner=(ip_address(inner),),
    )


def first() -> MissionLines:
    """The first guest: home, two vaults, a reader who moves, a monitor."""
    return MissionLines(
        mission=MissionId(bytes.fromhex("1f" * 32)),
        network=ip_network("10.81.1.0/24"),
        parties=(
            vault(),
            vault("harbour", 2, 2),
            caller("registry-1", "10.81.1.10", 3),
            caller("envoy", "10.81.1.11", 4, Role.READER, outer=None),
            caller("watch", "10.81.1.12", 5, Role.MONITOR, outer="203.0.113.9"),
        ),
    )


def second() -> MissionLines:
    """The other guest of the same hub, over IPv6 outside."""
    return MissionLines(
        mission=MissionId(bytes.fromhex("2e" * 32)),
        network=ip_network("fd00:81:2::/64"),
        parties=(
            vault(
                number=6,
                data=Address("fd00:20::1", 8443),
                public=Address("fd00:20::1", 8444),
                outer=Address("2001:db8::1", 51826),
            ),
            caller("land", "fd00:81:2::10", 7, outer="2001:db8::2"),
        ),
    )
