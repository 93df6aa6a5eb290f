"""P4: any k of the vaults that hold a deposit suffice; fewer than k hosts hold nothing.

The attacker's powers: the complete disks of k-1 vaults, keys and all, and the recovery *seed*
besides, so that he opens every deposit secret. He uses the library's functions, not the command
line, and everything that the specification says. He does not have a k-th disk.

Without audits and repairs, which come later. Positive controls: the same attacker with k disks, or
with the one missing veil share, opens everything; the survival tests compare every file.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from exclave.archive.pack import decode_chunk, parse_directory
from exclave.dispersal.field import inverse, multiply
from exclave.dispersal.shard import PREFIX_SIZE, Shard, parse_shard, rebuild_pack
from exclave.dispersal.veil import VEIL_SIZE, TooFewShards, VeilShare, join_veil, split_veil
from exclave.ids import PackRoot, Seat, ShardRoot
from exclave.reconstruct.fetch import PackUnavailable
from exclave.sealing.pack import (
    HEADER_SIZE,
    CommitmentMismatch,
    PackHeader,
    PackRejected,
    open_pack,
)
from exclave.sealing.recovery import XWingPrivateKey
from exclave.sealing.secret import unseal_deposit_secret
from tests.support.embassy import Embassy, found_embassy

PLANTED = b"the deed of Kiriku Street 6"


@dataclass(frozen=True, kw_only=True)
class Loot:
    """What a disk gives up to somebody who has the recovery key."""

    shards: dict[PackRoot, list[Shard]]
    files: list[bytes]


def steal(embassy: Embassy, seats: Sequence[int]) -> Loot:
    """Every file of these vaults; shards by pack."""
    shards: dict[PackRoot, list[Shard]] = {}
    files: list[bytes] = []
    for seat in seats:
        for path in sorted(embassy.vault_folder(seat).rglob("*")):
            if not path.is_file():
                continue
            data = path.read_bytes()
            files.append(data)
            if path.parent.parent.name == "shards":
                shard = parse_shard(data, ShardRoot(bytes.fromhex(path.name)))
                shards.setdefault(shard.header.pack_root, []).append(shard)
    return Loot(shards=shards, files=files)


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A sealed pack in the attacker's hands with its deposit secret, its veil still unknown."""

    sealed: bytes
    secret: bytes
    shares: tuple[VeilShare, ...]
    k: int


def break_open(loot: Loot, seed: bytes, *, k: int, others: dict[PackRoot, bytes]) -> list[Broken]:
    """Secrets unsealed with the recovery key, packs as far as the bodies go.

    `others` gives the attacker whole ciphertexts that his disks do not: bodies are not secret,
    since an audit may show any leaf but the first.
    """
    private = XWingPrivateKey.from_seed(seed)
    found: list[Broken] = []
    for root, shards in sorted(loot.shards.items()):
        sealed = others[root]
        header = PackHeader.decode(sealed[:HEADER_SIZE])
        secret = unseal_deposit_secret(private, header.sealed_secret, header.context)
        shares = tuple(shard.share for shard in shards)
        found.append(Broken(sealed=sealed, secret=secret, shares=shares, k=k))
    return found


def candidate_veils(broken: Broken, loot: Loot) -> Iterator[bytes]:
    """Everything that could be a veil, if something had been done carelessly."""
    share = broken.shares[0].value
    yield bytes(VEIL_SIZE)
    yield b"\xff" * VEIL_SIZE
    yield broken.secret
    for one in broken.shares:
        yield one.value
        yield bytes(a ^ b for a, b in zip(one.value, broken.secret, strict=True))
        for x in range(256):  # shares on wrong or weak polynomials: any factor of what he has
            yield bytes(multiply(byte, x) for byte in one.value)
            if x:
                yield bytes(multiply(byte, inverse(x)) for byte in one.value)
    for subset in range(1, len(broken.shares) + 1):  # as if k were smaller
        yield join_veil(broken.shares[:subset], subset)
    for x in range(1, 256):  # a forged share for every other seat: his own, zeros, the secret
        if x not in {one.seat for one in broken.shares}:
            for guess in (share, bytes(VEIL_SIZE), broken.secret):
                forged = VeilShare(seat=Seat(x), value=guess)
                yield join_veil([*broken.shares, forged][-broken.k :], broken.k)
    for data in loot.files:  # any 32 bytes of his disks, headers and small files whole
        for start in range(0, min(len(data), 4 * PREFIX_SIZE) - VEIL_SIZE, 8):
            yield data[start : start + VEIL_SIZE]


def try_everything(broken: Broken, loot: Loot) -> tuple[int, list[bytes]]:
    """How many veils were tried, and the plaintexts that came of it."""
    tried, opened = 0, []
    for veil in dict.fromkeys(candidate_veils(broken, loot)):
        tried += 1
        try:
            opened.append(bytes(open_pack(broken.sealed, secret=broken.secret, veil=veil)[1]))
        except CommitmentMismatch:
            continue
    return tried, opened


@pytest.fixture(scope="module")
def embassy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embassy]:
    """Two of three, one deposit with a planted word."""
    with found_embassy(tmp_path_factory.mktemp("embassy")) as embassy:
        embassy.write_registers(mib=0.1)
        (embassy.home / "registers" / "scans" / "planted.txt").write_bytes(PLANTED)
        embassy.deposit()
        yield embassy


def seed_of(embassy: Embassy) -> bytes:
    """The recovery seed, as if enough cards were stolen."""
    return embassy.recovery_private().seed


def ciphertexts(embassy: Embassy) -> dict[PackRoot, bytes]:
    """Whole sealed packs, without their veils."""
    loot = steal(embassy, (1, 2))
    return {root: bytes(rebuild_pack(shards, 2)[0]) for root, shards in loot.shards.items()}


# Any k suffice


@pytest.mark.parametrize("pair", list(itertools.combinations((1, 2, 3), 2)))
def test_any_two_of_three_give_everything_back(
    embassy: Embassy, tmp_path: Path, pair: tuple[int, int]
) -> None:
    report = embassy.reconstruct(tmp_path, seats=pair)
    assert report.proven
    assert {seat for seat, _ in report.fetched} == set(pair)
    scans = embassy.home / "registers" / "scans"
    files = [path.relative_to(scans) for path in scans.rglob("*") if path.is_file()]
    assert len(files) > 20
    for file in files:
        assert (tmp_path / "scans" / file).read_bytes() == (scans / file).read_bytes()


def test_any_three_of_five_give_everything_back(tmp_path: Path) -> None:
    with found_embassy(tmp_path / "embassy", n=5, k=3) as embassy:
        embassy.write_registers(mib=0.05)
        embassy.deposit()
        seed, everything = seed_of(embassy), steal(embassy, (1, 2, 3, 4, 5))
        for seats in itertools.combinations((1, 2, 3, 4, 5), 3):
            _opens(steal(embassy, seats), seed, k=3)
        others = {r: bytes(rebuild_pack(s, 3)[0]) for r, s in everything.shards.items()}
        for seats in ((1, 2), (3, 5)):
            loot = steal(embassy, seats)
            for broken in break_open(loot, seed, k=3, others=others):
                assert try_everything(broken, loot)[1] == []


def _opens(loot: Loot, seed: bytes, *, k: int) -> list[bytes]:
    """Every chunk, which is what the attacker gets when he has k disks."""
    private = XWingPrivateKey.from_seed(seed)
    found: list[bytes] = []
    for shards in loot.shards.values():
        sealed, veil = rebuild_pack(shards, k)
        header = PackHeader.decode(sealed[:HEADER_SIZE])
        secret = unseal_deposit_secret(private, header.sealed_secret, header.context)
        _, plaintext = open_pack(sealed, secret=secret, veil=veil)
        for entry in parse_directory(plaintext, kind=header.kind):
            stored = plaintext[entry.offset : entry.offset + entry.stored]
            found.append(bytes(decode_chunk(entry, stored)))
    return found


# Fewer than k hold nothing


@pytest.mark.parametrize("seat", [1, 2, 3])
def test_one_host_with_the_recovery_key_opens_nothing(embassy: Embassy, seat: int) -> None:
    loot, seed = steal(embassy, (seat,)), seed_of(embassy)
    broken = break_open(loot, seed, k=2, others=ciphertexts(embassy))
    assert len(broken) >= 2  # a data pack and a manifest pack
    for one in broken:
        assert len(one.secret) == 32  # the first lock is open: only the veil holds
        tried, opened = try_everything(one, loot)
        assert tried > 1000
        assert opened == []


@pytest.mark.parametrize("seat", [1, 2, 3])
def test_one_hosts_shards_do_not_make_a_pack(embassy: Embassy, seat: int) -> None:
    for shards in steal(embassy, (seat,)).shards.values():
        assert len(shards) == 1
        with pytest.raises(TooFewShards):
            rebuild_pack(shards, 2)
        with pytest.raises(TooFewShards):
            join_veil([shards[0].share], 2)


def test_the_workflow_refuses_one_host_as_well(embassy: Embassy, tmp_path: Path) -> None:
    reading = embassy.authorise(tmp_path / "reader")
    secrets = embassy.unseal(reading)
    with pytest.raises(PackUnavailable, match="1 good shards of 3, 2 needed"):
        embassy.restore(reading, secrets, out=tmp_path, state=tmp_path, seats=(2,))


def test_every_veil_is_possible_with_fewer_than_k_shares(embassy: Embassy) -> None:
    """For each byte and each value there is a polynomial of degree k-1 through what he has."""
    for shards in steal(embassy, (2,)).shards.values():
        share = shards[0].share
        for index, byte in enumerate(share.value):
            slopes = {
                multiply(byte ^ guess, inverse(share.seat))  # veil + slope * x = share
                for guess in range(256)
            }
            assert len(slopes) == 256, f"byte {index} rules a veil out"


def test_a_share_is_uniform_whatever_the_veil_is() -> None:
    """Over all coefficients a share takes each value once, for any veil: it tells nothing."""
    for veil in (0x00, 0x5A, 0xFF):
        for seat in (Seat(1), Seat(2), Seat(255)):
            seen = set()
            for coefficient in range(256):
                draw = bytes([coefficient]) * VEIL_SIZE
                (share,) = split_veil(bytes([veil]) * VEIL_SIZE, 2, [seat], lambda _, d=draw: d)
                seen.add(share.value[0])
            assert len(seen) == 256


def test_shares_differ_from_pack_to_pack_and_from_seat_to_seat(embassy: Embassy) -> None:
    loot = steal(embassy, (1, 2, 3))
    shares = [shard.veil_share for shards in loot.shards.values() for shard in shards]
    assert len(shares) == 3 * len(loot.shards)
    assert len(set(shares)) == len(shares)
    veils = [join_veil([s.share for s in shards], 2) for shards in loot.shards.values()]
    assert len(set(veils)) == len(veils)


def test_the_commitment_holds_the_veil(embassy: Embassy) -> None:
    """A pack opens under one veil: a changed bit anywhere in it is refused before decryption."""
    (shards, *_) = steal(embassy, (1, 2)).shards.values()
    sealed, veil = rebuild_pack(shards, 2)
    header = PackHeader.decode(sealed[:HEADER_SIZE])
    private = XWingPrivateKey.from_seed(seed_of(embassy))
    secret = unseal_deposit_secret(private, header.sealed_secret, header.context)
    open_pack(sealed, secret=secret, veil=veil)
    for bit in range(8 * VEIL_SIZE):
        other = bytearray(veil)
        other[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CommitmentMismatch):
            open_pack(sealed, secret=secret, veil=bytes(other))
    for _ in range(64):
        with pytest.raises(PackRejected):
            open_pack(sealed, secret=os.urandom(32), veil=veil)


# Positive controls


@pytest.mark.parametrize("pair", list(itertools.combinations((1, 2, 3), 2)))
def test_control_k_hosts_with_the_recovery_key_open_everything(
    embassy: Embassy, pair: tuple[int, int]
) -> None:
    opened = _opens(steal(embassy, pair), seed_of(embassy), k=2)
    assert any(PLANTED in chunk for chunk in opened)


def test_control_the_attacker_would_find_a_veil_that_lies_about(embassy: Embassy) -> None:
    """The same search, with the veil in a file of the disk, and with it as the share itself."""
    loot, seed = steal(embassy, (1,)), seed_of(embassy)
    both = steal(embassy, (1, 2))
    for broken in break_open(loot, seed, k=2, others=ciphertexts(embassy)):
        root = next(r for r, text in ciphertexts(embassy).items() if text == broken.sealed)
        veil = join_veil([shard.share for shard in both.shards[root]], 2)
        careless = Loot(shards=loot.shards, files=[*loot.files, b"resume: " + veil + b"\n" * 9])
        assert try_everything(broken, careless)[1]
        copied = Broken(
            sealed=broken.sealed,
            secret=broken.secret,
            shares=(VeilShare(seat=Seat(1), value=veil),),
            k=2,
        )
        assert try_everything(copied, loot)[1]
