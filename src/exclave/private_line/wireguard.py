"""WireGuard configurations of one end, in the form that `wg-quick` reads.

Rules: a private key is never in the text, only the name of the file that has it, at this end; a
peer is let through with exactly its own inner addresses.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Final

from exclave.private_line.values import Inner, LineRefused, MissionLines, Party

__all__ = ["KeyPathUnusual", "wireguard_config"]

# `wg-quick` hands the line to a shell: what it could take for anything else is refused.
_PLAIN_PATH: Final = re.compile(r"/[A-Za-z0-9/._-]+")
_KEEPALIVE: Final = 25
"""Seconds: less than the half minute after which address translators may forget."""


class KeyPathUnusual(LineRefused):
    """A path of a private key that a shell might misread."""


def wireguard_config(lines: MissionLines, end: Party, key_file: str) -> str:
    """The configuration of `end`'s interface; `key_file` is absolute, on `end`'s machine."""
    if not _PLAIN_PATH.fullmatch(key_file):
        raise KeyPathUnusual(
            f"key file: expected an absolute path of letters, digits and ._-, got {key_file!r}"
        )
    parts = ["\n".join(_interface(lines, end, key_file))]
    parts += ["\n".join(_peer(end, peer)) for peer in lines.peers(end)]
    return "\n\n".join(parts) + "\n"


def _interface(lines: MissionLines, end: Party, key_file: str) -> Iterator[str]:
    yield f"# Mission {lines.mission.hex()}: {end.name}"
    yield "[Interface]"
    yield f"Address = {_addresses(end.inner)}"
    if end.outer is not None:
        yield f"ListenPort = {end.outer.port}"
    yield f"PostUp = wg set %i private-key {key_file}"


def _peer(end: Party, peer: Party) -> Iterator[str]:
    seat = "" if peer.seat is None else f", seat {peer.seat}"
    yield f"# {peer.name} ({peer.role.value}{seat})"
    yield "[Peer]"
    yield f"PublicKey = {base64.b64encode(peer.key).decode()}"
    yield f"AllowedIPs = {_addresses(peer.inner)}"
    if peer.outer is not None:
        yield f"Endpoint = {peer.outer}"
    if end.outer is None:
        # It is behind a translator, or moves: nobody finds it unless it keeps the line open.
        yield f"PersistentKeepalive = {_KEEPALIVE}"


def _addresses(inner: tuple[Inner, ...]) -> str:
    return ", ".join(f"{item}/{item.max_prefixlen}" for item in inner)
