"""The occupier: everything at home is his, and one vault.

What he holds: the key files of all officials at home with their passphrases, the depositor's
machine with its keys, journal and spool, every card at home, and root in the receiving state of
one vault, with that vault's keys. He knows the program well and uses its library.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.orders import Release
from exclave.authority.record import (
    DepositRecord,
    PackKindName,
    RecordPack,
    SealedSecret,
    record_payload,
)
from exclave.authority.record_chain import LiveSet, set_root
from exclave.demo.attack.hands import Forger
from exclave.demo.attack.place import Place
from exclave.demo.founding import Person, quoted
from exclave.demo.reach import Attempt, stored_objects
from exclave.dispersal.shard import Shard, make_shards
from exclave.found.amend import Successor, amend
from exclave.ids import DepositId, Seat, StatementHash
from exclave.reconstruct.warranting import ReaderParty, load_reader
from exclave.sealing.secret import SEALED_SECRET_SIZE
from exclave.signer.bundle import KeyBundle
from exclave.signer.file import load_key_file, public_keys_bytes, write_once
from exclave.signer.interface import sign_envelope
from exclave.signer.parties import new_official_key
from exclave.values import dataclass, replace
from exclave.vault.line.identity import Identity, load_identity
from exclave.vault.line.local_door import SOCKET
from exclave.wiring.reader import load_card, prepare, survey_card

__all__ = ["HOME", "OWN_SEAT", "Occupier"]

HOME: Final = ("chancellor", "minister", "registrar")
OWN_SEAT: Final = 1
"""The vault he has root on."""
_OWN_PEOPLE: Final = tuple(
    Person(label=f"agent-{n}", name=f"Agent {n}", place="abroad", institution="embassy-a")
    for n in range(1, 6)
)
_METHODS: Final = ("DELETE", "PUT", "PATCH", "POST", "MOVE", "PURGE")
_SMALL: Final = 64 * 1024
_LARGE: Final = 4 * 2**20
_PAST_THE_DELAY: Final = timedelta(hours=6)
"""Longer than the warrant waits even in the dark, and shorter than a released one lives."""
_AGES: Final = timedelta(days=3650)


@dataclass(slots=True, kw_only=True)
class Occupier:
    """Acts on a place from the hour in which home fell."""

    place: Place
    forger: Forger
    depositor: KeyBundle
    depositor_identity: Identity
    own_vault: Identity

    @classmethod
    def arrive(cls, place: Place) -> Occupier:
        """Take everything at home, and the vault's keys."""
        bundle = place.home.mission / "depositors" / "home"
        return cls(
            place=place,
            forger=Forger(stage=place.stage, law=place.charter),
            depositor=load_key_file(bundle / "keys.json"),
            depositor_identity=load_identity(bundle / "identity.pem"),
            own_vault=load_identity(place.vaults[OWN_SEAT].folder / "keys" / "identity.pem"),
        )

    @property
    def folder(self) -> Path:
        """Where he works."""
        return self.place.stage.make("occupier")

    @property
    def card(self) -> Path:
        """A card of the group at home."""
        return sorted(self.place.home.cards.glob("card-*.txt"))[0]

    # Reading

    def demand_reading(self, name: str) -> tuple[ReaderParty, Envelope]:
        """A warrant for everything, signed by all of home, and the keys of his reader."""
        folder = self.folder / name
        prepare(load_card(self.card), folder, deposit="all", purpose=name, life=timedelta(days=30))
        reader = load_reader(folder)
        return reader, self.forger.sign(reader.warrant, HOME)

    def newest(self) -> tuple[DepositRecord, LiveSet]:
        """The newest deposit as vaults show it."""
        view = survey_card(load_card(self.card)).deposits[0]
        assert view.live is not None
        return view.record, view.live

    # The charter

    def rewrite_charter(self) -> Envelope:
        """Own people as both exile rosters, no delay anywhere; signed by all of home."""
        public = self.folder / "agents"
        public.mkdir(mode=0o700)
        for agent in _OWN_PEOPLE:
            keys = public_keys_bytes(new_official_key(os.urandom))
            write_once(public / f"{agent.key_file}.pub", keys)
        changes = self.folder / "changes.toml"
        changes.write_text(_changes(self.place.charter.mission_id.hex(), public), encoding="utf-8")
        out = self.folder / "charter"
        mission = self.place.home.mission
        amend(
            Successor(
                changes=changes,
                charter=mission / "charter.json",
                annex=mission / "annex.json",
                era=False,
            ),
            out=out,
            outlet=None,
            signers=self.forger.signers(HOME),
            now=datetime.now(UTC),
            random=os.urandom,
        )
        return parse_envelope((out / "charter.json").read_bytes(), kinds=[Kind.CHARTER])

    # Deleting

    def release_all(self, live: LiveSet) -> Envelope:
        """A release of every pack, signed by all of home."""
        return self.forger.order(
            Release(head=self.forger.head("nobody needs it"), packs=live.roots), HOME
        )

    def deletions(self, seat: int) -> Sequence[Attempt]:
        """Every verb that might delete or replace, on everything that a vault holds."""
        names = [Path(name).name for name in stored_objects(self.place.mission_folder(seat))]
        paths = ["shards", "bodies", "log/checkpoint", "log/tile/0/000.p/1", "status", ""]
        for name in names:
            paths += [
                f"{top}/{name}" for top in ("shards", "sealed-shards", "bodies", "statements")
            ]
        return [
            (method, path, b"" if method == "DELETE" else b"other bytes")
            for path in paths
            for method in _METHODS
        ]

    # Flooding

    def stage_garbage(self, seat: int, most: int = 100) -> tuple[int, str]:
        """Put well-formed shards of nothing until a vault says no; how many, and what it said."""
        for count in range(most):
            shard = self._garbage(Seat(seat))
            said = self.place.reach.put(seat, self.depositor_identity, shard.root, shard.encode())
            if said != "stored":
                return count, said
        return most, "nothing"

    def lodge_garbage(
        self, seat: int, record: DepositRecord, live: LiveSet, most: int = 100
    ) -> tuple[int, str]:
        """Hand in records of packs that exist nowhere, dated 1970, until a vault says no."""
        for count in range(most):
            pack, _ = self._pack(_LARGE)
            record, live = _next(record, live, pack, claimed=datetime(1970, 1, 1, tzinfo=UTC))
            said = self.place.reach.submit(seat, self.signed(record))
            if said not in {"pending", "lodged", "forked"}:
                return count, said
        return most, "nothing"

    def forget_everything(
        self, record: DepositRecord, live: LiveSet
    ) -> tuple[DepositRecord, LiveSet, Mapping[int, str]]:
        """Lodge a record dated 2099 that drops all that lives; where it stands by seat."""
        pack, shards = self._pack(_SMALL)
        record, live = _next(record, live, pack, claimed=datetime(2099, 1, 1, tzinfo=UTC))
        said: dict[int, str] = {}
        for shard in shards:
            seat, reach = int(shard.header.seat), self.place.reach
            reach.put(seat, self.depositor_identity, shard.root, shard.encode())
            said[seat] = reach.submit(seat, self.signed(record))
        return record, live, said

    def signed(self, record: DepositRecord) -> bytes:
        """A record with the depositor's signatures."""
        envelope = Envelope(payload=record_payload(record), kind=Kind.RECORD)
        return sign_envelope(envelope, self.depositor.signers).to_bytes()

    def _garbage(self, seat: Seat) -> Shard:
        (shard, *_) = make_shards(
            os.urandom(_LARGE),
            mission=self.place.charter.mission_id,
            veil=os.urandom(32),
            k=2,
            seats=[seat, Seat(seat % 3 + 1)],
            random=os.urandom,
        )
        return shard

    def _pack(self, size: int) -> tuple[RecordPack, Sequence[Shard]]:
        """A pack of noise that a record can name, and its shards."""
        data = os.urandom(size)
        shards = make_shards(
            data,
            mission=self.place.charter.mission_id,
            veil=os.urandom(32),
            k=2,
            seats=[Seat(1), Seat(2), Seat(3)],
            random=os.urandom,
        )
        pack = RecordPack(
            root=shards[0].header.pack_root,
            length=len(data),
            k=2,
            secret=bytes(32),
            kind=PackKindName.MANIFEST,
            shards=tuple((shard.header.seat, shard.root) for shard in shards),
        )
        return pack, shards

    # His own vault

    def keep_image(self) -> None:
        """A copy of his vault's disk, to be put back later."""
        self.place.stop(OWN_SEAT)
        # A vault that was killed leaves the socket of its local door behind.
        door = shutil.ignore_patterns(SOCKET)
        shutil.copytree(self.place.vaults[OWN_SEAT].folder, self._image, ignore=door)
        self.place.serve(OWN_SEAT)

    def move_clocks(self) -> None:
        """Set forward what the stopped vault kept of service time and of expiry time.

        Service time just far enough: beyond the life of a warrant it would serve him no more.
        """
        meta = self.place.mission_folder(OWN_SEAT) / "meta"
        ahead = datetime.now(UTC) + _AGES
        kept = int((meta / "service").read_text()) if (meta / "service").is_file() else 0
        moved = kept + int(_PAST_THE_DELAY.total_seconds()) * 1000
        (meta / "service").write_text(f"{moved}\n")
        (meta / "expiry").write_text(f"{ahead:%Y-%m-%dT%H:%M:%SZ}\n")

    def roll_back(self) -> None:
        """Put the older image in the place of the stopped vault's folder."""
        folder = self.place.vaults[OWN_SEAT].folder
        shutil.rmtree(folder)
        shutil.copytree(self._image, folder)

    def destroy_vault(self) -> None:
        """Burn it."""
        self.place.stop(OWN_SEAT)
        shutil.rmtree(self.place.vaults[OWN_SEAT].folder)

    @property
    def _image(self) -> Path:
        return self.folder / "image"


def _next(
    record: DepositRecord, live: LiveSet, pack: RecordPack, *, claimed: datetime
) -> tuple[DepositRecord, LiveSet]:
    """A record after `record` that drops all that lives for one pack, and what lives then."""
    deposit = DepositId(os.urandom(16))
    secret = SealedSecret(deposit=deposit, sealed=os.urandom(SEALED_SECRET_SIZE))
    pack = replace(pack, secret=secret.secret_id)
    following = replace(
        record,
        deposit=deposit,
        sequence=record.sequence + 1,
        previous=StatementHash(record.statement_hash),
        full=False,
        secrets_added=(secret,),
        secrets_dropped=tuple(sorted(live.secrets)),
        packs_added=(pack,),
        packs_dropped=live.roots,
        set_root=set_root([pack.root]),
        manifest_packs=(pack.root,),
        claimed_time=claimed,
    )
    return following, live.apply(following)


def _changes(mission: str, public: Path) -> str:
    people = "\n".join(
        f"[[official.add]]\nlabel = {quoted(agent.label)}\n"
        f'keys = {quoted(str(public / agent.key_file) + ".pub")}\nplace = "abroad"\n'
        f"institution = {quoted(agent.institution)}\nname = {quoted(agent.name)}\n"
        f"contact = {quoted(agent.label)}\n"
        for agent in _OWN_PEOPLE
    )
    at_once = "\n".join(
        f'[rosters.{name}]\ndelay = "0 s"\nveto_window = "0 s"\n'
        for name in ("govern", "read", "release", "override")
    )
    return (
        f'mission = "{mission}"\nafter = "1.1"\nretention_days = 1\n{people}\n{at_once}\n'
        '[rosters.exile_1]\nmembers = ["agent-1", "agent-2"]\nthreshold = 1\n'
        'delay = "0 s"\nveto_window = "0 s"\n'
        '[rosters.exile_2]\nmembers = ["agent-3", "agent-4", "agent-5"]\nthreshold = 1\n'
        'delay = "1 s"\nveto_window = "0 s"\n'
        '[rosters.alarm]\nmembers = ["agent-1"]\n[delays]\nexile_change = "1 s"\n'
    )
