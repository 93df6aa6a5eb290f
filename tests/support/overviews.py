"""Made overviews: what `status` finds at home, without a home."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from exclave.archive.reference import Codec, Reference
from exclave.authority.envelope import Kind
from exclave.carried.papers import TroubleCause
from exclave.check.bags import BagNotice, SeatBags
from exclave.clock import format_time
from exclave.deposit.catalogue_entry import CatalogueEntry, RegisterSummary
from exclave.evidence import Evidence
from exclave.ids import BagId, DepositId, MissionId, PackRoot, Seat, StatementHash
from exclave.vault.interface import AlarmState, MissionStatus
from exclave.wiring.overview import Health, Overview, RegisterState, SeatState

MOMENT = datetime(2030, 6, 1, 12, tzinfo=UTC)
HOUR, DAY = 3600, 86_400


def before(seconds: int) -> str:
    """A stored time so long before `MOMENT`."""
    return format_time(MOMENT - timedelta(seconds=seconds))


def entry(sequence: int = 7, *, age: int = 2 * HOUR) -> CatalogueEntry:
    """A deposit of two registers."""
    summary = RegisterSummary(
        id="land", title="Land register", kind="postgresql", rpo=DAY, rto=DAY, rows=9, files=0,
        bytes=999,
    )  # fmt: skip
    reference = Reference(pack=0, offset=0, stored=1, plain=1, codec=Codec.RAW)
    return CatalogueEntry(
        deposit=DepositId(bytes(16)),
        sequence=sequence,
        statement=bytes(32),
        started=before(age),
        ended=before(age - 90),
        registers=(summary,),
        read=1000,
        new=100,
        stored=60,
        sent=((Seat(1), 30), (Seat(2), 30)),
        elapsed_ms=90_500,
        manifest_bytes=40,
        manifest_root=reference,
        manifest_packs=(PackRoot(bytes(32)),),
    )


def evidence(kind: str, *, passed: bool = True, seconds: float | None = None) -> Evidence:
    """A certificate of three days ago."""
    return Evidence(
        kind=Kind(kind),
        register="land",
        deposit=bytes(16).hex(),
        ended=before(3 * DAY),
        passed=passed,
        whole=passed,
        seconds=seconds,
        path=Path(f"{kind}-1.json"),
    )


def register(id: str = "land", **changes: object) -> RegisterState:
    """A register that is as it should be."""
    values: dict[str, object] = {
        "id": id,
        "title": "Land register",
        "health": Health.GOOD,
        "last": entry(),
        "age": 2 * HOUR,
        "rpo": DAY,
        "rto": 4 * HOUR,
        "held": (Seat(1), Seat(2), Seat(3)),
        "service_gap": None,
        "proof": evidence("proof"),
        "drill": evidence("drill", seconds=5400.0),
    }
    return RegisterState(**{**values, **changes})  # type: ignore[arg-type]


def never(id: str) -> RegisterState:
    """A declared register that nobody deposited."""
    gap = "not reconstructible as a service: no runbook and no artefacts"
    return register(
        id, health=Health.BAD, last=None, age=None, held=(), proof=None, drill=None, service_gap=gap
    )


def answer(seat: int, *alarms: str) -> MissionStatus:
    """What a vault says of itself."""
    return MissionStatus(
        mission=MissionId(bytes(32)),
        seat=Seat(seat),
        state="XA",
        charter=StatementHash(bytes(32)),
        charters=1,
        locked=False,
        frozen=False,
        log_size=12,
        shards=3,
        shard_bytes=3000,
        staged_bytes=0,
        quota_bytes=10_000,
        free_bytes=2**40,
        records=(),
        warrants=(),
        standing=(),
        conflicts=(),
        forks=(),
        quarantined=(),
        alarms=tuple(AlarmState(cause=c, began=before(HOUR), detail="a detail") for c in alarms),
        witnessed=before(40),
        expiry=before(40),
        service=1000,
    )


def seat(number: int, answered: MissionStatus | str | None, **changes: object) -> SeatState:
    """A seat that is up to date."""
    values: dict[str, object] = {
        "seat": Seat(number),
        "state": "XA",
        "name": f"vault-{number}",
        "health": Health.BAD if isinstance(answered, str) else Health.GOOD,
        "late_shards": 0,
        "spooled": 0,
        "answer": answered,
    }
    return SeatState(**{**values, **changes})  # type: ignore[arg-type]


def safe(number: int) -> SeatState:
    """A safe with one bag in it and another, that was opened, on its way."""
    opened = BagNotice(
        bag=BagId(bytes(16)), seat=Seat(number), cause=TroubleCause.OPENED, bad=True, said="cut"
    )
    bags = SeatBags(
        seat=Seat(number),
        safe=True,
        newest=MOMENT - timedelta(days=12),
        read=MOMENT - timedelta(days=10),
        under_way=1,
        kept=1,
        notices=(opened,),
    )
    return seat(number, None, name="safe-4", bags=bags, bag_age=12 * DAY, bag_limit=90 * DAY)


def everything() -> Overview:
    """One of each: every figure that there is has a value."""
    failed = evidence("drill", passed=False)
    refuted = register("births", health=Health.BAD, proof="proof-2.json: not JSON", drill=failed)
    return Overview(
        registers=(register(), refuted, never("wills")),
        seats=(
            seat(1, answer(1)),
            seat(2, answer(2, "deposits-silent")),
            seat(3, "seat 3: no answer", late_shards=4, spooled=500),
            safe(4),
        ),
        spool_used=500,
        spool_limit=2**30,
        deposits_until_spool_full=7,
        full_deposit=None,
        journal_there=True,
        catalogue_there=True,
    )
