"""The depositor's catalogue (spec/catalogue.md): what was deposited, in plain words.

It serves listing with titles and rebuilds a lost journal. It opens nothing. A folder
without `deposit.json` is of a deposit that never came so far; the next one overwrites it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exclave.deposit.catalogue_entry import CatalogueEntry, RegisterSummary, catalogue_pack_bytes
from exclave.deposit.catalogue_reading import parse_catalogue_entry, parse_catalogue_pack
from exclave.durable import make_path, replace_file
from exclave.encoding import canonical_json
from exclave.errors import ConfigurationError
from exclave.ids import PackRoot, StatementHash
from exclave.journal.rows import SafePack

if TYPE_CHECKING:
    from exclave.authority.record import DepositRecord
    from exclave.authority.record_chain import LiveSet

__all__ = ["Catalogue", "CatalogueEntry", "CatalogueTooNew", "RegisterSummary"]

_MARK: Final = re.compile(rb"exclave catalogue v([1-9][0-9]{0,5})\n")
_FORMAT: Final = 1
"""Which is not written: a catalogue without the file is of this one."""
_ROOT: Final = 64  # characters of a pack's root; anything else is a file half written
_OUTLINE: Final = "outline"


class CatalogueTooNew(ConfigurationError):
    """A later version of the program made the catalogue."""


class Catalogue:
    """Folder of deposits, one subfolder each."""

    def __init__(self, path: Path) -> None:
        """Raises `CatalogueTooNew` before anything is touched."""
        _require_known(path)
        self._path = path
        make_path(path)
        make_path(path / "packs")

    def add_pack(self, pack: SafePack) -> None:
        """Remember a pack that is safe, durably."""
        file = self._pack_file(pack.root)
        make_path(file.parent)
        replace_file(file, [catalogue_pack_bytes(pack)], mode=0o600)

    def pack(self, root: PackRoot) -> SafePack:
        """A pack that became safe once; all its shards count as held."""
        file = self._pack_file(root)
        return parse_catalogue_pack(file.read_bytes(), str(file))

    def packs(self) -> Iterator[SafePack]:
        """Every pack that became safe once, as `pack` gives it."""
        for file in sorted((self._path / "packs").glob("??/*")):
            if len(file.name) == _ROOT:
                yield parse_catalogue_pack(file.read_bytes(), str(file))

    def add(self, entry: CatalogueEntry, envelope: bytes, outline: bytes | None = None) -> None:
        """Remember a deposit; `deposit.json` is written last."""
        folder = self._path / f"{entry.sequence:08d}"
        make_path(folder)
        if outline is not None:
            replace_file(folder / _OUTLINE, [outline], mode=0o600)
        replace_file(folder / "record.json", [envelope], mode=0o600)
        replace_file(folder / "deposit.json", [canonical_json(entry.to_json())], mode=0o600)

    def remove(self, sequence: int) -> None:
        """Forget a deposit whose record was withdrawn; `deposit.json` goes first."""
        for name in ("deposit.json", "record.json", _OUTLINE):
            (self._path / f"{sequence:08d}" / name).unlink(missing_ok=True)

    def outline(self, sequence: int) -> bytes | None:
        """A deposit's outline as it was kept; None when there is none."""
        try:
            return (self._path / f"{sequence:08d}" / _OUTLINE).read_bytes()
        except FileNotFoundError:
            return None

    def forget_outlines(self, keep: int) -> None:
        """Remove all but the newest ones."""
        for file in sorted(self._path.glob(f"*/{_OUTLINE}"))[:-keep]:
            file.unlink(missing_ok=True)

    def entries(self) -> list[CatalogueEntry]:
        """All complete deposits, oldest first."""
        return [
            parse_catalogue_entry(file.read_bytes(), str(file))
            for file in sorted(self._path.glob("*/deposit.json"))
        ]

    def envelope(self, sequence: int) -> bytes:
        """The record's envelope of a deposit."""
        return (self._path / f"{sequence:08d}" / "record.json").read_bytes()

    def live(self, sequence: int) -> LiveSet | None:
        """What a deposit refers to; None where a record before it is not here.

        A depositor whose keys were replaced goes on from a record that another catalogue has.
        """
        # Records are law and keys, which looking at what was deposited needs nothing of.
        from exclave.authority.envelope import parse_envelope
        from exclave.authority.record import parse_record
        from exclave.authority.record_chain import AncestorMissing, live_set

        known: dict[StatementHash, DepositRecord] = {}
        for number in range(sequence, 0, -1):
            try:
                envelope = parse_envelope(self.envelope(number))
            except FileNotFoundError:
                return None
            record = known[envelope.statement_hash] = parse_record(envelope)
            if record.full:
                break
        try:
            return live_set(next(iter(known.values())), known)
        except AncestorMissing:
            return None

    def _pack_file(self, root: PackRoot) -> Path:
        return self._path / "packs" / root.hex()[:2] / root.hex()


def _require_known(path: Path) -> None:
    mark = path / "FORMAT"
    if not mark.exists():
        return
    found = _MARK.fullmatch(mark.read_bytes())
    if found is None or int(found[1]) > _FORMAT:
        got = "something else" if found is None else f"format {int(found[1])}"
        raise CatalogueTooNew(
            f"{mark}: expected a catalogue of format {_FORMAT}, got {got}",
            hint="a later version made it: use that one; nothing was touched",
        )
