"""Tiles: a log's tree as files that are written once full (spec/ledger.md 2).

Reads and writes nothing: reading takes a `fetch` callable, growing gives the files to write.

Rules
- A tile path has one spelling. Tile and bundle bytes have exactly the width that the name says.
- `TileReader` does not trust what it fetches: hashes of a proof are proven by the root that they
  lead to, and an entry by `entry` against its leaf hash.
- `grow` gives files in the order in which they may be written: a file names nothing later.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from exclave.encoding import MAX_INTEGER
from exclave.errors import IntegrityError, MalformedData
from exclave.ledger.consistency import consistency_ranges, inclusion_ranges, split_point
from exclave.merkle import EMPTY_ROOT, leaf_hash, node_hash, tree_root
from exclave.values import dataclass

__all__ = [
    "HASH_SIZE",
    "TILE_WIDTH",
    "Fetch",
    "Tile",
    "TileCorrupt",
    "TileFile",
    "TileMissing",
    "TileReader",
    "TreeEdge",
    "encode_bundle",
    "grow",
    "load_edge",
    "parse_bundle",
    "parse_tile_path",
    "tiles_of",
]

TILE_WIDTH = 256
HASH_SIZE = 32
_MAX_LEVEL = 7  # 256^7 leaves are more than an integer may count

Fetch = Callable[[str], bytes | None]
"""Gives the bytes of a tile path, or None when there is no such file."""

_PATH = re.compile(
    r"tile/(entries|[0-7])/((?:x[0-9]{3}/)*)([0-9]{3})(?:\.p/([1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?"
)


class TileMissing(IntegrityError):
    """A tile that the tree's size calls for is not there."""


class TileCorrupt(IntegrityError):
    """A tile's bytes do not fit its name or the rest of the tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """Name of a tile: hashes of a level, or entries when `level` is None."""

    level: int | None
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        if self.level is not None and not 0 <= self.level <= _MAX_LEVEL:
            raise MalformedData(f"tile: level: expected 0 to {_MAX_LEVEL}, got {self.level}")
        if not 0 <= self.index <= MAX_INTEGER:
            raise MalformedData(f"tile: index: expected 0 to 2^53-1, got {self.index}")
        if not 1 <= self.width <= TILE_WIDTH:
            raise MalformedData(f"tile: width: expected 1 to {TILE_WIDTH}, got {self.width}")

    @property
    def full(self) -> bool:
        """Whether the tile never changes any more."""
        return self.width == TILE_WIDTH

    def path(self) -> str:
        """Path from the log's folder: `tile/0/x001/234` or `tile/0/x001/234.p/7`."""
        digits = f"{self.index:d}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        number = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
        level = "entries" if self.level is None else str(self.level)
        return f"tile/{level}/{number}" + ("" if self.full else f".p/{self.width}")


def parse_tile_path(path: str) -> Tile:
    """Read a tile's path; raises `MalformedData` for any other spelling."""
    match = _PATH.fullmatch(path)
    if match is None or len(path) > 100:
        raise MalformedData(f"tile path: expected tile/<level>/<number>, got {path[:100]!r}")
    level, above, last, width = match.groups()
    tile = Tile(
        level=None if level == "entries" else int(level),
        index=int(above.replace("x", "").replace("/", "") + last),
        width=TILE_WIDTH if width is None else int(width),
    )
    if tile.path() != path:
        raise MalformedData(f"tile path: expected {tile.path()!r}, got {path!r}")
    return tile


def _width(size: int, level: int, index: int) -> int:
    return min(TILE_WIDTH, (size >> (8 * level)) - index * TILE_WIDTH)


def tiles_of(size: int) -> Iterator[Tile]:
    """All tiles of a tree of `size` leaves, entry bundles first; the last of a level partial."""
    for level in (None, *range(_MAX_LEVEL + 1)):
        shift = 8 * (level or 0)
        for index in range(-(-(size >> shift) // TILE_WIDTH)):
            yield Tile(level=level, index=index, width=_width(size, level or 0, index))


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Bytes of an entry bundle: each entry behind its length as u16."""
    for entry in entries:
        if len(entry) > 0xFFFF:
            raise MalformedData(f"entry bundle: expected entries up to 65535, got {len(entry)}")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def parse_bundle(data: bytes, width: int) -> list[bytes]:
    """Exactly `width` entries of a bundle's bytes."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise TileCorrupt("entry bundle: cut off")
        entries.append(data[at + 2 : end])
        at = end
    if len(entries) != width:
        raise TileCorrupt(f"entry bundle: expected {width} entries, got {len(entries)}")
    return entries


def _split(data: bytes, tile: Tile) -> list[bytes]:
    if len(data) != tile.width * HASH_SIZE:
        raise TileCorrupt(
            f"{tile.path()}: expected {tile.width * HASH_SIZE} bytes, got {len(data)}"
        )
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]


class TileReader:
    """A tree of `size` leaves, read by tiles; tiles once fetched are kept."""

    __slots__ = ("_fetch", "_kept", "size")

    def __init__(self, size: int, fetch: Fetch) -> None:
        self.size = size
        self._fetch = fetch
        self._kept: dict[tuple[int, int], list[bytes]] = {}

    def root(self) -> bytes:
        """Root of the tree as the tiles have it: to be compared with the checkpoint's."""
        return self.subtree(0, self.size) if self.size else EMPTY_ROOT

    def inclusion_proof(self, index: int) -> list[bytes]:
        """Audit path of leaf `index`."""
        return [self.subtree(low, high) for low, high in inclusion_ranges(index, self.size)]

    def consistency_proof(self, old: int) -> list[bytes]:
        """Proof that the first `old` leaves are the earlier tree."""
        return [self.subtree(low, high) for low, high in consistency_ranges(old, self.size)]

    def leaf(self, index: int) -> bytes:
        """Leaf hash `index`."""
        return self.subtree(index, index + 1)

    def subtree(self, low: int, high: int) -> bytes:
        """Hash of the leaves low..high, a range as in `exclave.ledger.consistency`."""
        if not 0 <= low < high <= self.size:
            raise IndexError(f"leaves {low} to {high} of {self.size}")
        count = high - low
        if count & (count - 1) == 0 and low % count == 0:
            return self._complete(count.bit_length() - 1, low)
        middle = low + split_point(count)
        return node_hash(self.subtree(low, middle), self.subtree(middle, high))

    def entry(self, index: int) -> bytes:
        """Entry `index`, whose leaf hash the tiles have."""
        return self.entries(index // TILE_WIDTH)[index % TILE_WIDTH]

    def entries(self, number: int) -> list[bytes]:
        """Entries of bundle `number`, each checked against its leaf hash."""
        if not 0 <= number * TILE_WIDTH < self.size:
            raise IndexError(f"entry bundle {number} of a log of {self.size}")
        width = _width(self.size, 0, number)
        data, there = self._get(Tile(level=None, index=number, width=width))
        entries = parse_bundle(data, there)[:width]
        hashes = self._hashes(0, number)
        for at, (entry, expected) in enumerate(zip(entries, hashes, strict=True)):
            if not hmac.compare_digest(leaf_hash(entry), expected):
                raise TileCorrupt(f"log entry {number * TILE_WIDTH + at}: not the leaf's entry")
        return entries

    def _complete(self, height: int, low: int) -> bytes:
        level, within = divmod(height, 8)
        first = low >> (8 * level)
        hashes = self._hashes(level, first // TILE_WIDTH)
        start = first % TILE_WIDTH
        return tree_root(hashes[start : start + (1 << within)])

    def _hashes(self, level: int, index: int) -> list[bytes]:
        kept = self._kept.get((level, index))
        if kept is None:
            width = _width(self.size, level, index)
            data, there = self._get(Tile(level=level, index=index, width=width))
            kept = _split(data, Tile(level=level, index=index, width=there))[:width]
            self._kept[level, index] = kept
        return kept

    def _get(self, tile: Tile) -> tuple[bytes, int]:
        data = self._fetch(tile.path())
        if data is not None:
            return data, tile.width
        # The log may have grown since: an older partial tile goes when the full one is there.
        data = None if tile.full else self._fetch(Tile(level=tile.level, index=tile.index).path())
        if data is None:
            raise TileMissing(f"{tile.path()}: not there")
        return data, TILE_WIDTH


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEdge:
    """What is needed to let a tree grow: its last, partial tiles.

    `entries` are those of the partial bundle; `levels[L]` the hashes of level L's partial tile.
    """

    size: int = 0
    entries: tuple[bytes, ...] = ()
    levels: tuple[tuple[bytes, ...], ...] = ()

    def root(self) -> bytes:
        """Root of the tree."""
        # Complete subtrees from left to right: higher levels first, in each the larger first.
        peaks: list[bytes] = []
        for hashes in reversed(self.levels):
            at = 0
            while at < len(hashes):
                count = 1 << ((len(hashes) - at).bit_length() - 1)
                peaks.append(tree_root(hashes[at : at + count]))
                at += count
        if not peaks:
            return EMPTY_ROOT
        result = peaks.pop()
        while peaks:
            result = node_hash(peaks.pop(), result)
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class TileFile:
    """A tile to be written."""

    tile: Tile
    data: bytes


def load_edge(size: int, fetch: Fetch) -> TreeEdge:
    """The edge of a stored tree; the caller compares its root with the checkpoint's."""
    reader = TileReader(size, fetch)
    levels: list[tuple[bytes, ...]] = []
    for level in range(_MAX_LEVEL + 1):
        count = size >> (8 * level)
        if count == 0:
            break
        whole, width = divmod(count, TILE_WIDTH)
        start = whole * TILE_WIDTH
        unit = 1 << (8 * level)
        levels.append(
            tuple(reader.subtree(n * unit, (n + 1) * unit) for n in range(start, start + width))
        )
    entries = reader.entries(size // TILE_WIDTH) if size % TILE_WIDTH else []
    return TreeEdge(size=size, entries=tuple(entries), levels=tuple(levels))


def grow(edge: TreeEdge, new: Iterable[bytes]) -> tuple[TreeEdge, list[TileFile]]:
    """Append entries: the new edge and the files to write, bundles first, partial ones last."""
    size = edge.size
    entries = list(edge.entries)
    levels = [list(hashes) for hashes in edge.levels]
    touched: set[int] = set()
    files: list[TileFile] = []
    for entry in new:
        entries.append(entry)
        size += 1
        if len(entries) == TILE_WIDTH:
            bundle = Tile(level=None, index=size // TILE_WIDTH - 1)
            files.append(TileFile(tile=bundle, data=encode_bundle(entries)))
            entries.clear()
        files.extend(_promote(levels, touched, leaf_hash(entry), size))
    if entries and size != edge.size:
        last = Tile(level=None, index=size // TILE_WIDTH, width=len(entries))
        files.append(TileFile(tile=last, data=encode_bundle(entries)))
    for level in sorted(touched):
        if hashes := levels[level]:
            index = (size >> (8 * level)) // TILE_WIDTH
            tile = Tile(level=level, index=index, width=len(hashes))
            files.append(TileFile(tile=tile, data=b"".join(hashes)))
    grown = TreeEdge(
        size=size, entries=tuple(entries), levels=tuple(tuple(hashes) for hashes in levels)
    )
    return grown, files


def _promote(
    levels: list[list[bytes]], touched: set[int], digest: bytes, size: int
) -> Iterator[TileFile]:
    """Add a leaf hash; a level that it fills becomes a full tile and a hash one level up."""
    level = 0
    while True:
        if level == len(levels):
            levels.append([])
        hashes = levels[level]
        hashes.append(digest)
        touched.add(level)
        if len(hashes) < TILE_WIDTH:
            return
        index = (size >> (8 * level)) // TILE_WIDTH - 1
        yield TileFile(tile=Tile(level=level, index=index), data=b"".join(hashes))
        digest = tree_root(hashes)
        hashes.clear()
        level += 1
