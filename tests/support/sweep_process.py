"""Sweeps over a file engine as a process of its own: `python THIS folder`.

Two deposits, a release of the first one's packs, all clocks a retention later: the same code as a
vault's housekeeping. Prints the shards that went, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from exclave.engine.file import FileEngine
from exclave.vault.mission.sweeper import sweep
from tests.support.keeping import Kept
from tests.support.vault_world import new_world


def main(arguments: list[str]) -> None:
    folder, world = Path(arguments[0]), new_world()
    place = folder / "missions" / world.mission.hex()
    place.mkdir(parents=True)
    (folder / "tmp").mkdir()
    store: Any = FileEngine(place, folder / "tmp")
    kept = Kept.new(store, world)
    kept.release(*kept.packs[0])
    kept.later()
    found = sweep(kept.mission)
    kept.mission.close()
    print(json.dumps([root.hex() for _, roots in found.released for root in roots]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
