"""A small mission for tests of vaults: keys of everybody, charter 1, records, shards, warrants.

Three seats in three states, 2-of-3, one depositor; delays are zero unless asked for.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA65PrivateKey

from exclave.authority.charter import Charter, charter_payload, mission_id
from exclave.authority.charter_parts import (
    Address,
    Depositor,
    Official,
    Place,
    RecoveryEpoch,
    Role,
    RoleName,
    SeatEntry,
    SeatType,
    ShareGroup,
)
from exclave.authority.charter_settings import Delays, Dispersal, Quotas, Settings, Witness
from exclave.authority.envelope import Envelope, Kind
from exclave.authority.keys import ED25519, ML_DSA_44, ML_DSA_65, X_WING, TypedKey
from exclave.authority.record import (
    DepositRecord,
    PackKindName,
    RecordPack,
    SealedSecret,
    record_payload,
    secret_id_of,
)
from exclave.authority.record_chain import set_root
from exclave.authority.warrant import Warrant, warrant_payload
from exclave.dispersal.shard import Shard, make_shards
from exclave.ids import DepositId, Epoch, MissionId, PackRoot, PersonId, Seat, StatementHash
from exclave.ledger.cosignature import Cosigned, Cosigner, CosigningKey, cosign, witness_name
from exclave.ledger.note import COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44, NoteSignature
from exclave.sealing.recovery import XWingPrivateKey
from exclave.vault.line.identity import Identity, new_identity
from exclave.vault.mission.cosigning import head_of, witness_now
from exclave.vault.mission.mission import Mission, SeatKeys

START = datetime.now(UTC).replace(microsecond=0)
SEATS = (Seat(1), Seat(2), Seat(3))


@dataclass(frozen=True, slots=True)
class Ed:
    private: Ed25519PrivateKey

    @property
    def public(self) -> TypedKey:
        return TypedKey(ED25519, self.private.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)


def ed() -> Ed:
    return Ed(Ed25519PrivateKey.generate())


@dataclass(frozen=True, slots=True)
class VaultParty:
    identity: Identity
    log: Ed
    seat_private: XWingPrivateKey
    cosigning: tuple[Ed, MLDSA44PrivateKey]
    state: Ed  # the receiving state's

    @property
    def witness(self) -> tuple[TypedKey, TypedKey]:
        first, second = self.cosigning
        return first.public, TypedKey(ML_DSA_44, second.public_key().public_bytes_raw())

    @property
    def keys(self) -> SeatKeys:
        return SeatKeys(
            log_public=self.log.public.raw,
            sign=self.log.sign,
            cosigning=cosigning_keys(*self.cosigning),
            seat_private=self.seat_private,
        )

    def cosigner(self, mission: MissionId, seat: Seat) -> Cosigner:
        return Cosigner(name=witness_name(mission, seat), keys=self.keys.cosigning)


def cosigning_keys(first: Ed, second: MLDSA44PrivateKey) -> tuple[CosigningKey, CosigningKey]:
    return (
        CosigningKey(key_type=COSIGNATURE_ED25519, public_key=first.public.raw, sign=first.sign),
        CosigningKey(
            key_type=COSIGNATURE_ML_DSA_44,
            public_key=second.public_key().public_bytes_raw(),
            sign=second.sign,
        ),
    )


def new_vault(number: int) -> VaultParty:
    return VaultParty(
        identity=new_identity(f"vault-{number}", START),
        log=ed(),
        seat_private=XWingPrivateKey.from_seed(os.urandom(32)),
        cosigning=(ed(), MLDSA44PrivateKey.generate()),
        state=ed(),
    )


@dataclass(frozen=True, slots=True)
class DepositorParty:
    identity: Identity
    ed: Ed
    pq: MLDSA65PrivateKey

    @property
    def public(self) -> tuple[TypedKey, TypedKey]:
        return self.ed.public, TypedKey(ML_DSA_65, self.pq.public_key().public_bytes_raw())

    def sign(self, envelope: Envelope) -> Envelope:
        one, two = self.public
        envelope = envelope.with_signature(one, self.ed.sign(envelope.pae))
        return envelope.with_signature(two, self.pq.sign(envelope.pae))


def new_depositor() -> DepositorParty:
    return DepositorParty(new_identity("home", START), ed(), MLDSA65PrivateKey.generate())


@dataclass(frozen=True, kw_only=True)
class World:
    vaults: dict[Seat, VaultParty]
    depositor: DepositorParty
    officials: dict[PersonId, Ed]
    charter: Charter
    envelope: Envelope
    made: list[Shard] = field(default_factory=list)

    @property
    def mission(self) -> MissionId:
        return mission_id(self.envelope.payload)

    def officials_sign(self, envelope: Envelope, people: Sequence[int]) -> Envelope:
        names = sorted(self.officials)
        for number in people:
            key = self.officials[names[number]]
            envelope = envelope.with_signature(key.public, key.sign(envelope.pae))
        return envelope

    def pack(self, size: int = 10_000, kind: PackKindName = PackKindName.DATA) -> Pack:
        sealed, veil = os.urandom(size), os.urandom(32)
        shards = make_shards(
            sealed, mission=self.mission, veil=veil, k=2, seats=SEATS, random=os.urandom
        )
        return Pack(shards=dict(zip(SEATS, shards, strict=True)), length=size, kind=kind)

    def record(
        self,
        added: Sequence[Pack],
        *,
        previous: DepositRecord | None = None,
        dropped: Sequence[PackRoot] = (),
        live: Sequence[PackRoot] = (),
        sealed: bytes | None = None,
        **changes: object,
    ) -> DepositRecord:
        """The next record; `live` are the packs that live on from `previous`."""
        sealed = os.urandom(1168) if sealed is None else sealed
        packs = sorted((p.entry(secret_id_of(sealed)) for p in added), key=lambda p: p.root)
        deposit = DepositId(os.urandom(16))
        record = DepositRecord(
            mission=self.mission,
            charter=self.envelope.statement_hash,
            depositor="home",
            deposit=deposit,
            epoch=Epoch(1),
            sequence=1 if previous is None else previous.sequence + 1,
            previous=None if previous is None else previous.statement_hash,
            full=previous is None,
            secrets_added=(SealedSecret(deposit=deposit, sealed=sealed),),
            secrets_dropped=(),
            packs_added=tuple(packs),
            packs_dropped=tuple(sorted(dropped)),
            set_root=set_root([p.root for p in packs] + list(live)),
            manifest_packs=tuple(p.root for p in packs if p.kind is PackKindName.MANIFEST),
            claimed_time=START,
        )
        return replace(record, **changes)  # type: ignore[arg-type]

    def signed(self, record: DepositRecord) -> bytes:
        envelope = Envelope(payload=record_payload(record), kind=Kind.RECORD)
        return self.depositor.sign(envelope).to_bytes()

    def deposit(self, size: int = 10_000) -> tuple[DepositRecord, list[Pack]]:
        packs = [self.pack(size), self.pack(5_000, PackKindName.MANIFEST)]
        return self.record(packs), packs

    def warrant(
        self,
        reader: Identity,
        deposits: Sequence[DepositId] | None = None,
        people: Sequence[int] = (0, 1),
        **changes: object,
    ) -> bytes:
        warrant = Warrant(
            mission=self.mission,
            charter=self.envelope.statement_hash,
            nonce=os.urandom(16),
            purpose="a test",
            issued=START,
            expires=START + timedelta(days=1),
            deposits=None if deposits is None else tuple(sorted(deposits)),
            reader=reader.certificate,
            reader_key=ed().public,
            unseal_key=TypedKey(X_WING, XWingPrivateKey.from_seed(os.urandom(32)).public.raw),
        )
        payload = warrant_payload(replace(warrant, **changes))  # type: ignore[arg-type]
        return self.officials_sign(Envelope(payload=payload, kind=Kind.WARRANT), people).to_bytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    shards: dict[Seat, Shard]
    length: int
    kind: PackKindName

    def entry(self, secret: bytes) -> RecordPack:
        first = self.shards[SEATS[0]]
        return RecordPack(
            root=first.header.pack_root,
            length=self.length,
            k=2,
            secret=secret,
            kind=self.kind,
            shards=tuple((seat, shard.root) for seat, shard in sorted(self.shards.items())),
        )

    @property
    def root(self) -> PackRoot:
        return self.shards[SEATS[0]].header.pack_root


@functools.cache
def _officials() -> dict[PersonId, Ed]:
    return {PersonId(f"p-{number:016x}"): ed() for number in range(7)}


def new_world(
    *,
    read_delay: int = 0,
    quotas: Quotas | None = None,
    daily: int = 2**40,
    total: int = 2**41,
    addresses: dict[Seat, Address] | None = None,
    vaults: dict[Seat, VaultParty] | None = None,
) -> World:
    """`vaults`: those of another world, which then hold both missions."""
    vaults = vaults or {seat: new_vault(seat) for seat in SEATS}
    depositor, officials = new_depositor(), _officials()
    charter = _charter(
        vaults,
        depositor,
        officials,
        read_delay=read_delay,
        quotas=quotas,
        limits=(daily, total),
        addresses=addresses or {},
    )
    world = World(
        vaults=vaults,
        depositor=depositor,
        officials=officials,
        charter=charter,
        envelope=Envelope(payload=charter_payload(charter), kind=Kind.CHARTER),
    )
    return replace(world, envelope=world.officials_sign(world.envelope, (0, 1)))


def fellow_lines(
    world: World, mission: Mission, fellows: Sequence[Seat], moment: datetime | None = None
) -> list[NoteSignature]:
    """What these seats sign for the newest checkpoint of a mission's log."""
    text = head_of(mission).note.text
    stamp = int((moment or mission.clock()).timestamp())
    return [
        line
        for seat in fellows
        for line in cosign(text, world.vaults[seat].cosigner(world.mission, seat), stamp)
    ]


def witnessed(
    world: World,
    *missions: Mission,
    fellows: Sequence[Seat] = SEATS,
    moment: datetime | None = None,
) -> list[Cosigned]:
    """Let a quorum cosign the missions' logs, without servers.

    `log/cosigned` is kept, and a `witnessed` entry logged where one is due: for entries of type
    charter, warrant, order and signatures that none covers yet. `moment` is the fellows' time.
    """
    done: list[Cosigned] = []
    for mission in missions:
        others = [seat for seat in fellows if seat != mission.seat]
        done.append(witness_now(mission, fellow_lines(world, mission, others, moment)))
    return done


def next_charter(world: World, version: int = 2, **changes: object) -> tuple[Charter, bytes]:
    """Charter 2, signed by two officials of the govern roster."""
    charter = replace(
        world.charter,
        mission=world.mission,
        version=version,
        previous=StatementHash(world.envelope.statement_hash),
        **changes,  # type: ignore[arg-type]
    )
    envelope = Envelope(payload=charter_payload(charter), kind=Kind.CHARTER)
    return charter, world.officials_sign(envelope, (0, 1)).to_bytes()


def _charter(
    vaults: dict[Seat, VaultParty],
    depositor: DepositorParty,
    officials: dict[PersonId, Ed],
    *,
    read_delay: int,
    quotas: Quotas | None,
    limits: tuple[int, int],
    addresses: dict[Seat, Address],
) -> Charter:
    people = sorted(officials)
    home, exile_1, exile_2 = people[:3], people[3:5], people[5:7]

    def role(members: list[PersonId], threshold: int, delay: int = 0) -> Role:
        return Role(threshold=threshold, members=tuple(members), delay=delay, veto_window=0)

    rosters = {
        RoleName.GOVERN: role(home, 2),
        RoleName.READ: role(home, 2, read_delay),
        RoleName.ALARM: role(home, 1),
        RoleName.RELEASE: role(home, 2),
        RoleName.OVERRIDE: role(home, 3),
        RoleName.EXILE_1: role(exile_1, 1, 1),
        RoleName.EXILE_2: role(exile_2, 1, 2),
    }
    states = {Seat(1): "XA", Seat(2): "XB", Seat(3): "XC"}
    return Charter(
        mission=None,
        era=1,
        version=1,
        previous=None,
        state_code="XX",
        state_name="Testland",
        notice="for tests",
        issued=START,
        advisory_expiry=START + timedelta(days=365),
        dispersal=Dispersal(k=2, n=3, h=2),
        seats=tuple(
            SeatEntry(
                seat=seat,
                type=SeatType.VAULT,
                vault=f"vault-{seat}",
                state=states[seat],
                operator="host",
                addresses=(addresses[seat],) if seat in addresses else (),
                identity=party.identity.certificate,
                log_key=party.log.public,
                seat_key=TypedKey(X_WING, party.seat_private.public.raw),
                witness_keys=party.witness,
                agreement=bytes.fromhex(party.state.public.key_id),
                retired=False,
            )
            for seat, party in sorted(vaults.items())
        ),
        recovery=(_epoch(),),
        officials=tuple(
            Official(
                id=person,
                place=Place.HOME if person in home else Place.ABROAD,
                institution="office",
                key_sets=((officials[person].public,),),
                name_hash=bytes(32),
            )
            for person in people
        ),
        annex=bytes(32),
        rosters=tuple((name, rosters[name]) for name in RoleName),
        delays=Delays(dark_factor=3, exile_change=max(3, read_delay), warrant_life=3600),
        witness=Witness(f=0, q=2, external=(), freshness=60),
        depositors=(
            Depositor(
                id="home",
                keys=depositor.public,
                identity=depositor.identity.certificate,
                daily_bytes=limits[0],
                total_bytes=limits[1],
                reserve=False,
            ),
        ),
        quotas=quotas or Quotas(reserve=2**20, staging=2**30, staging_days=90),
        settings=Settings(
            retention_days=30,
            drill_interval_days=90,
            drill_cards_days=365,
            whole_deposit_bags=False,
            agreements_required=False,
        ),
    )


@functools.cache
def _epoch() -> RecoveryEpoch:
    def group(name: str, state: str, place: Place) -> ShareGroup:
        return ShareGroup(name=name, place=place, state=state, threshold=2, members=3)

    return RecoveryEpoch(
        epoch=Epoch(1),
        key=TypedKey(X_WING, XWingPrivateKey.from_seed(os.urandom(32)).public.raw),
        check=bytes(16),
        share_set=1,
        group_threshold=2,
        groups=(
            group("government", "XX", Place.HOME),
            group("exile north", "XA", Place.ABROAD),
            group("exile south", "XB", Place.ABROAD),
        ),
        current=True,
    )
