"""nftables rules of one machine: all its lines, what it needs beside them, and nothing else.

One table for all missions of the machine, since a packet that one table drops is not saved by
another. Rules:

1. What arrives, passes or leaves is dropped unless it is named.
2. Inner addresses are believed only on their own line, and nothing leaves for them elsewhere: with
   a line down, no packet for it goes out in the clear.
3. Through a line come only the mission's parties, to the listeners of this vault; and only this
   machine's requests to the listeners of other vaults leave.
4. Nothing passes from one interface to another, so that guests of one hub do not reach each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import Final

from exclave.private_line.values import Inner, MissionLines, Network, Party
from exclave.values import dataclass, field

__all__ = ["Beside", "firewall"]

_TABLE: Final = "inet exclave_line"
_NEIGHBOURS: Final = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert }"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a machine may do beside its lines."""

    admin: tuple[Network, ...] = field(default=())
    """From here somebody may come by SSH."""
    local: tuple[Network, ...] = field(default=())
    """What the machine itself may reach: databases, name and time servers."""


def firewall(lines: Sequence[MissionLines], name: str, beside: Beside) -> str:
    """The rules for the machine of party `name`, for `nft -f`; loading them again replaces them."""
    ends = [(line, line.party(name)) for line in lines]
    text = [
        f"# Private lines of {name}. What is not named here is dropped.",
        f"table {_TABLE}",
        f"delete table {_TABLE}",
        f"table {_TABLE} {{",
        *_chain("arriving", "input", _arriving(ends, beside)),
        "",
        *_chain("passing", "forward", ()),
        "",
        *_chain("leaving", "output", _leaving(ends, beside)),
        "}",
    ]
    return "\n".join(text) + "\n"


_Ends = Sequence[tuple[MissionLines, Party]]


def _chain(name: str, hook: str, rules: Iterable[str]) -> Iterator[str]:
    yield f"    chain {name} {{"
    yield f"        type filter hook {hook} priority filter; policy drop;"
    for rule in rules:
        yield f"        {rule}"
    yield "    }"


def _arriving(ends: _Ends, beside: Beside) -> Iterator[str]:
    yield 'iifname "lo" accept'
    for line, end in ends:
        for match in _addresses("saddr", _inner(line.peers(end))):
            yield f'iifname != "{line.interface}" {match} drop'
    for own in dict.fromkeys(inner for _, end in ends for inner in end.inner):
        carriers = [line.interface for line, end in ends if own in end.inner]
        yield f"iifname != {_quoted(carriers)} {_family(own)} daddr {own} drop"
    yield "ct state invalid drop"
    yield "ct state established,related accept"
    yield f"{_NEIGHBOURS} accept"
    for line, end in ends:
        if end.outer is not None:
            yield from _tunnel_in(line.peers(end), end.outer.port)
    for line, end in ends:
        for caller in line.peers(end):
            for service in _services(end, caller):
                yield f'iifname "{line.interface}" {service} accept'
    yield f"iifname {_quoted(line.interface for line, _ in ends)} drop"
    for network in beside.admin:
        yield f"{_family(network)} saddr {network} tcp dport 22 accept"


def _leaving(ends: _Ends, beside: Beside) -> Iterator[str]:
    yield 'oifname "lo" accept'
    for line, end in ends:
        for match in _addresses("daddr", _inner(line.peers(end))):
            yield f'oifname != "{line.interface}" {match} drop'
    yield "ct state invalid drop"
    yield "ct state established,related accept"
    yield f"{_NEIGHBOURS} accept"
    for line, end in ends:
        for peer in line.peers(end):
            yield from _tunnel_out(end, peer)
    for line, end in ends:
        for peer in line.peers(end):
            for service in _services(peer, end):
                yield f'oifname "{line.interface}" {service} accept'
    yield f"oifname {_quoted(line.interface for line, _ in ends)} drop"
    for network in beside.local:
        yield f"{_family(network)} daddr {network} accept"


def _tunnel_in(peers: Sequence[Party], port: int) -> Iterator[str]:
    """From the peers' addresses; from anywhere when one of them has none (its key decides then)."""
    known = [ip_address(peer.outer.host) for peer in peers if peer.outer is not None]
    if len(known) < len(peers):
        yield f"udp dport {port} accept"
        return
    for match in _addresses("saddr", known):
        yield f"{match} udp dport {port} accept"


def _tunnel_out(end: Party, peer: Party) -> Iterator[str]:
    # To a caller without a known address go answers only, which belong to what it began.
    if peer.outer is not None:
        host = ip_address(peer.outer.host)
        source = "" if end.outer is None else f" sport {end.outer.port} udp"
        yield f"{_family(host)} daddr {host} udp{source} dport {peer.outer.port} accept"


def _services(at: Party, caller: Party) -> Iterator[str]:
    """`caller` to each listener of `at` that it may reach."""
    ports: dict[str, list[int]] = {}
    for listener in at.listeners_for(caller):
        ports.setdefault(listener.host, []).append(listener.port)
    for text, numbers in ports.items():
        host = ip_address(text)
        # Of another family than its host nobody has an address to call from.
        for match in _addresses("saddr", [a for a in caller.inner if a.version == host.version]):
            yield f"{match} {_family(host)} daddr {host} tcp dport {_set(map(str, numbers))}"


def _inner(peers: Iterable[Party]) -> list[Inner]:
    return [inner for peer in peers for inner in peer.inner]


def _addresses(side: str, found: Iterable[Inner]) -> Iterator[str]:
    """A match for each family that has addresses."""
    families: dict[str, list[str]] = {}
    for item in dict.fromkeys(found):
        families.setdefault(_family(item), []).append(str(item))
    for family, texts in families.items():
        yield f"{family} {side} {_set(texts)}"


def _family(item: Inner | Network) -> str:
    return "ip" if item.version == 4 else "ip6"


def _quoted(names: Iterable[str]) -> str:
    return _set(f'"{name}"' for name in names)


def _set(items: Iterable[str]) -> str:
    unique = list(dict.fromkeys(items))
    return unique[0] if len(unique) == 1 else "{ " + ", ".join(unique) + " }"
