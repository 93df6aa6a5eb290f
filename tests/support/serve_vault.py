"""Serves one seat of a `vault_world` mission as a process of its own: `python THIS order.json`.

The same code as `exclave vault serve` after its configuration is read: engine, mission, listeners,
`exclave.vault.server.server.serve`. The keys lie in the order, since they are a test's. So do,
where a test wants them, the packs of an effective release, a file of witnesses' timestamps that is
read whenever they are asked for, the seconds between two housekeeping runs, and a folder for the
local door.
"""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from exclave import clock
from exclave.engine.file import FileEngine
from exclave.ids import MissionId, PackRoot, Seat, StatementHash
from exclave.sealing.recovery import XWingPrivateKey
from exclave.vault.installation.config import VaultConfig
from exclave.vault.line.identity import load_identity
from exclave.vault.mission.keeping import Keeping
from exclave.vault.mission.mission import Mission, SeatKeys
from exclave.vault.server import server as vault_server
from exclave.vault.server.server import VaultServer, serve
from exclave.wiring.local_door import open_door
from tests.support.vault_world import Ed, cosigning_keys


def witnesses(path: str | None) -> dict[str, datetime]:
    """Timestamps by name, as they are in the file now."""
    if path is None:
        return {}
    found: dict[str, str] = json.loads(Path(path).read_text())
    return {name: clock.parse_time(time) for name, time in found.items()}


def main(arguments: list[str]) -> None:
    order: dict[str, str] = json.loads(Path(arguments[0]).read_text())
    folder, place = Path(order["folder"]), Path(order["place"])
    log = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(order["log"]))
    mission = Mission(
        mission=MissionId(bytes.fromhex(order["mission"])),
        seat=Seat(int(order["seat"])),
        store=FileEngine(place, folder / "tmp"),
        index_path=str(place / "state.db"),
        keys=SeatKeys(
            log_public=log.public_key().public_bytes_raw(),
            sign=log.sign,
            cosigning=cosigning_keys(
                Ed(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(order["cosign_ed"]))),
                MLDSA44PrivateKey.from_seed_bytes(bytes.fromhex(order["cosign_pq"])),
            ),
            seat_private=XWingPrivateKey.from_seed(bytes.fromhex(order["seat_seed"])),
        ),
        clock=clock.now,
        charter=order["charter"].encode(),
        witness_times=lambda: witnesses(order.get("witnesses")),
    )
    packs = [PackRoot(bytes.fromhex(item)) for item in order.get("release", "").split()]
    keeping = Keeping(released=dict.fromkeys(packs, StatementHash(bytes(32))))
    mission.keeping = lambda: keeping
    vault_server._HOUSEKEEPING_SECONDS = float(order.get("housekeeping", "30"))  # type: ignore[misc]
    with open_door(Path(order["local"])) if "local" in order else nullcontext() as door:
        server = VaultServer(
            identity=load_identity(Path(order["identity"])),
            missions=[mission],
            config=VaultConfig(
                data=order.get("data", "127.0.0.1:0"),
                public=order.get("public", "127.0.0.1:0"),
                min_free_bytes=0,
            ),
            clock=clock.now,
            mirror=False,
            local=door,
        )
        serve(server)


if __name__ == "__main__":
    main(sys.argv[1:])
