"""What goes wrong with bags on their way: each with a name, and nothing half-done."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from exclave.authority.custody import Act, Custody, Party, PartyRole, custody_envelope
from exclave.clock import now
from exclave.ids import BagId, Seat
from exclave.signer.interface import sign_envelope
from exclave.vault.interface import State, VaultRefused
from exclave.vault.line.local_door import local_path
from exclave.wiring.host import mission_at_hand
from tests.support.bags import CAPACITY, pack_folder, pack_volumes, run
from tests.support.embassy import Embassy, found_embassy

STARTED = now().replace(microsecond=0)


@pytest.fixture
def embassy(tmp_path: Path) -> Iterator[Embassy]:
    with found_embassy(tmp_path / "mission") as made:
        made.write_registers(mib=0.3)
        made.stop_vault(3)
        made.deposit()
        yield made


def log(embassy: Embassy, seat: int) -> bytes:
    return (embassy.mission_folder(seat) / "log" / "checkpoint").read_bytes()


def test_a_bag_of_another_mission(tmp_path: Path, embassy: Embassy) -> None:
    packed = pack_folder(embassy, 3, tmp_path / "bag")
    with found_embassy(tmp_path / "other") as other:
        other.stop_vault(3)
        before = log(other, 3)
        said = run("bag", "lodge", other.vault_folder(3), *packed.places, expect=7)
        assert f"expected one of mission {other.mission.hex()}" in said
        assert log(other, 3) == before


def test_a_bag_at_the_wrong_seat(tmp_path: Path, embassy: Embassy) -> None:
    packed = pack_folder(embassy, 3, tmp_path / "bag")
    embassy.stop_vault(2)
    before = log(embassy, 2)
    said = run("bag", "lodge", embassy.vault_folder(2), *packed.places, expect=7)
    assert "expected one for seat 2, got one for seat 3" in said
    run("bag", "seal", packed.papers, "--key", embassy.home / "keys" / "keys.json")
    key = embassy.vault_folder(2) / "keys" / "vault.key"
    said = run("bag", "store", packed.papers, *packed.places, "--key", key, expect=7)
    assert "expected the key of seat 3, got that of seat 2" in said
    assert log(embassy, 2) == before


def test_a_bag_whose_inventory_was_rewritten_for_another_seat(
    tmp_path: Path, embassy: Embassy
) -> None:
    """Every shard says itself whose it is, and opens at its own seat only."""
    packed = pack_folder(embassy, 3, tmp_path / "bag")
    embassy.stop_vault(2)
    place = packed.places[0] / "exclave-bag.json"
    place.chmod(0o600)
    place.write_bytes(place.read_bytes().replace(b'"seat":3', b'"seat":2'))
    lodged = run("bag", "lodge", embassy.vault_folder(2), *packed.places, expect=7)
    assert lodged["new_shards"] == 0
    assert "no record of the bag names it for its seat" in str(lodged["findings"])


def test_a_vault_that_another_command_has_open(tmp_path: Path, embassy: Embassy) -> None:
    """Neither its folder is to be had nor a server that would take the bag."""
    packed = pack_folder(embassy, 3, tmp_path / "bag")
    with mission_at_hand(embassy.vault_folder(3), embassy.mission):
        said = run("bag", "lodge", embassy.vault_folder(3), *packed.places, expect=3)
    assert "another process has this vault open" in said


def test_a_server_that_ends_while_a_bag_is_lodged(tmp_path: Path, embassy: Embassy) -> None:
    """Named, with what to do; the same command then finds the vault stopped and completes it."""
    packed = pack_folder(embassy, 3, tmp_path / "bag")
    folder = embassy.vault_folder(3)
    with socket.socket(socket.AF_UNIX) as left, mission_at_hand(folder, embassy.mission):
        with local_path(folder) as path:
            left.bind(str(path))  # of a server that was killed: nobody answers
        said = run("bag", "lodge", folder, *packed.places, expect=5)
    assert "no answer from its server" in said
    assert "run the same command again" in said
    lodged = run("bag", "lodge", folder, *packed.places)
    assert set(lodged["records"].values()) == {State.LODGED.value}


def test_nothing_to_pack(tmp_path: Path, embassy: Embassy) -> None:
    said = run(
        "bag", "pack", "-c", embassy.write_config(), "--seat", 1, "--folder", tmp_path / "bag",
        "--papers", tmp_path / "papers", expect=3,
    )  # fmt: skip
    assert "seat 1: expected shards of its deposits that lie here, got none" in said
    assert not (tmp_path / "papers").exists()


def test_too_few_volumes(tmp_path: Path, embassy: Embassy) -> None:
    """The end of the last tape: nothing of the bag is left."""
    volumes = [tmp_path / "1.tape", tmp_path / "2.tape"]
    said = run(
        "bag", "pack", "-c", embassy.write_config(), "--seat", 3, "--volumes", *volumes,
        "--capacity", CAPACITY, "--papers", tmp_path / "papers", expect=8,
    )  # fmt: skip
    assert "got no volume after 2" in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mission"]


def test_a_medium_that_is_full_at_once(tmp_path: Path, embassy: Embassy) -> None:
    said = run(
        "bag", "pack", "-c", embassy.write_config(), "--seat", 3, "--volumes", "/dev/full",
        "--papers", tmp_path / "papers", expect=8,
    )  # fmt: skip
    assert "volume 1 is full before it has any content" in said
    assert not (tmp_path / "papers").exists()


def test_a_charter_that_is_not_here(tmp_path: Path, embassy: Embassy) -> None:
    """Packed without the charter that its records were made under: named, and --with brings it."""
    from exclave.bag.packing import CharterMissing, gather_contents
    from exclave.wiring.bags import _records
    from exclave.wiring.depositor import open_home, open_stores

    with open_stores(open_home(embassy.write_config())) as (journal, spool):
        records = _records(journal, spool, Seat(3), None)
        shards = {root: lambda: b"x" for _, root in spool.shards(Seat(3))}
    with pytest.raises(CharterMissing, match="expected it among 0 charters"):
        gather_contents(
            mission=embassy.mission, bag=BagId(bytes(16)), seat=Seat(3), packed=now(),
            charters=[], records=records, lying=shards, kit=[],
        )  # fmt: skip


def test_a_spool_that_changes_while_it_is_packed(tmp_path: Path, embassy: Embassy) -> None:
    from exclave.bag.folder import FolderWriter
    from exclave.bag.packing import ItemChanged, gather_contents, pack_bag
    from exclave.wiring.bags import _records
    from exclave.wiring.depositor import open_home, open_stores

    home = open_home(embassy.write_config())
    with open_stores(home) as (journal, spool):
        records = _records(journal, spool, Seat(3), None)
        counts = iter(range(1000))
        contents = gather_contents(
            mission=embassy.mission, bag=BagId(bytes(16)), seat=Seat(3), packed=now(),
            charters=[embassy.envelope], records=records, kit=[],
            lying={root: lambda: b"%d" % next(counts) for _, root in spool.shards(Seat(3))},
        )  # fmt: skip
    with pytest.raises(ItemChanged, match="changed while it was packed"):
        pack_bag(contents, FolderWriter(tmp_path / "bag", contents.inventory))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mission"]


def test_papers_of_another_bag(tmp_path: Path, embassy: Embassy) -> None:
    first = pack_folder(embassy, 3, tmp_path / "first")
    second = pack_volumes(embassy, 3, tmp_path / "second")
    said = run("bag", "verify", *first.places, "--papers", second.papers, expect=3)
    assert "expected papers of bag" in said
    said = run("bag", "hand-over", first.papers, "--to", "seat 3", "--key",
               embassy.home / "keys" / "keys.json", expect=3)  # fmt: skip
    assert "expected a bag that was sealed" in said
    before = log(embassy, 3)
    said = run(
        "bag", "lodge", embassy.vault_folder(3), *first.places, "--papers", first.papers, expect=3
    )
    assert "expected a bag that was sealed" in said
    assert log(embassy, 3) == before, "said before anything is lodged"
    said = run(
        "bag", "pack", "-c", embassy.write_config(), "--seat", 3, "--folder", tmp_path / "third",
        "--papers", first.papers, expect=3,
    )  # fmt: skip
    assert "expected a new or empty folder" in said


def test_papers_that_were_altered(tmp_path: Path, embassy: Embassy) -> None:
    packed = pack_folder(embassy, 3, tmp_path / "bag")
    run("bag", "seal", packed.papers, "--key", embassy.home / "keys" / "keys.json")
    [paper] = packed.papers.glob("01-*.json")
    value = json.loads(paper.read_bytes())
    value["signatures"] = value["signatures"][:1]
    paper.chmod(0o600)
    paper.write_bytes(json.dumps(value, separators=(",", ":"), sort_keys=True).encode())
    said = run("bag", "list", packed.papers, expect=6)
    assert "expected a signature of depositor home" in said


def test_somebody_whom_no_charter_knows(tmp_path: Path, embassy: Embassy) -> None:
    packed = pack_folder(embassy, 3, tmp_path / "bag")
    keys = embassy.home / "keys" / "keys.json"
    run("bag", "seal", packed.papers, "--key", keys)
    said = run(
        "bag", "hand-over", packed.papers, "--to", "official p-0000000000000000", "--key", keys,
        expect=3,
    )  # fmt: skip
    assert "expected a party of the mission" in said
    with found_embassy(tmp_path / "other") as other:
        said = run(
            "bag", "receive", packed.papers, "--key", other.home / "keys" / "keys.json", expect=3
        )
    assert "got keys that no charter has" in said


def test_a_whole_deposit_in_one_bag_only_where_the_charter_allows_it(tmp_path: Path) -> None:
    """With k = 1 a bag opens with the cards and one key: the charter of tests does not allow it."""
    with found_embassy(tmp_path / "mission", n=2, k=1) as embassy:
        embassy.write_registers(mib=0.1)
        embassy.stop_vault(2)
        embassy.deposit()
        said = run(
            "bag", "pack", "-c", embassy.write_config(), "--seat", 2, "--folder",
            tmp_path / "bag", "--papers", tmp_path / "papers", expect=3,
        )  # fmt: skip
        assert "expected packs of which one shard is not enough" in said
        assert not (tmp_path / "bag").exists()


def custody(embassy: Embassy, number: int, by: Party) -> Custody:
    return Custody(
        mission=embassy.mission,
        bag=BagId(number.to_bytes(16)),
        inventory=bytes(32),
        seat=Seat(3),
        act=Act.SEALED,
        by=by,
        time=STARTED,
    )


def test_what_a_vault_takes_of_papers(embassy: Embassy) -> None:
    """Rightly signed by whom it names, of this mission, and no flood of them."""
    home = Party(PartyRole.DEPOSITOR, "home")
    client = embassy.client(1)

    def submit(paper: Custody, signers: object) -> State:
        envelope = sign_envelope(custody_envelope(paper), signers)  # type: ignore[arg-type]
        return embassy.loop.run(client.submit(envelope.to_bytes())).state

    with pytest.raises(VaultRefused) as unsigned:
        submit(custody(embassy, 0, home), [])
    assert unsigned.value.cause == "signature"
    with pytest.raises(VaultRefused) as other:
        submit(custody(embassy, 0, home), embassy.officials["consul-a"].signers)
    assert other.value.cause == "signature"
    for number in range(64):
        assert submit(custody(embassy, number, home), embassy.depositor.signers) is State.LOGGED
    with pytest.raises(VaultRefused) as flood:
        submit(custody(embassy, 64, home), embassy.depositor.signers)
    assert flood.value.cause == "quota"
    again = submit(custody(embassy, 63, home), embassy.depositor.signers)
    assert again is State.LOGGED, "what is known changes nothing"


def test_a_kit_cannot_lead_out_of_the_bag(tmp_path: Path, embassy: Embassy) -> None:
    packed = pack_folder(embassy, 3, tmp_path / "bag")
    place = packed.places[0] / "exclave-bag.json"
    place.chmod(0o600)
    inventory = json.loads(place.read_bytes())
    inventory["items"][0][1] = "../../etc/passwd"
    place.write_bytes(json.dumps(inventory, separators=(",", ":"), sort_keys=True).encode())
    assert "expected a name of a kit" in run("bag", "verify", *packed.places, expect=7)
    shutil.rmtree(packed.places[0])
