"""Build hook: what every vault and bag carries goes into the wheel.

The reader, the specification and the vectors are installed under `exclave/_kit/`. An editable
install leaves them out: from a source checkout the program finds them at the top of the tree, and
a second copy would go stale.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KIT = ("reader", "spec", "vectors")


class KitHook(BuildHookInterface[Any]):
    """Adds the kit folders to standard wheels; a folder that is missing or empty fails."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel" or version == "editable":
            return
        for name in KIT:
            folder = Path(self.root, name)
            if not folder.is_dir() or not any(folder.iterdir()):
                raise FileNotFoundError(f"kit folder {name}/: expected files, got none")
            build_data["force_include"][str(folder)] = f"exclave/_kit/{name}"
