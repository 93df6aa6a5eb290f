"""Dispersal: one shard per seat, any k rebuild the pack (spec/dispersal.md). Pure.

`field` arithmetic; `veil` secret sharing; `code` erasure code; `packroot` a pack's name; `shard`
one seat's part and the way back; `sealed_shard` its form outside a vault; `placement` thresholds
over states.
"""

from exclave.dispersal.packroot import pack_root
from exclave.dispersal.placement import check_layout, distinct_states
from exclave.dispersal.shard import (
    Shard,
    ShardCorrupt,
    ShardHasher,
    ShardHeader,
    ShardsDisagree,
    make_shards,
    parse_shard,
    rebuild_pack,
)
from exclave.dispersal.veil import DuplicateSeat, TooFewShards, VeilShare, join_veil, split_veil

__all__ = [
    "DuplicateSeat",
    "Shard",
    "ShardCorrupt",
    "ShardHasher",
    "ShardHeader",
    "ShardsDisagree",
    "TooFewShards",
    "VeilShare",
    "check_layout",
    "distinct_states",
    "join_veil",
    "make_shards",
    "pack_root",
    "parse_shard",
    "rebuild_pack",
    "split_veil",
]
