"""A vault's figures for its host's Prometheus, on an address of their own (spec/signals.md 7).

Volumes and health of each mission, and nothing that a mission would not have its host know: labels
are mission, seat and causes of the protocol, never a depositor, deposit or title. Rules: neither of
the vault's own listeners has this, so that no guest sees another's; a mission that cannot answer
costs the others nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from aiohttp import web

from exclave import __version__
from exclave.clock import parse_time
from exclave.errors import ExclaveError
from exclave.exposition import CONTENT_TYPE, Family, counter, exposition, gauge
from exclave.ids import MissionId
from exclave.own_process import process_families
from exclave.vault.interface import MissionStatus, State
from exclave.vault.mission.mission import Mission
from exclave.vault.server.hosting import Hosting

__all__ = ["metrics_app", "mission_families", "request_families"]

_WAITING = frozenset({State.INCOMPLETE, State.WAITING, State.OVERRIDING})


def metrics_app(hostings: Sequence[Hosting]) -> web.Application:
    """`/metrics` for the host, and `/metrics/{mission}` to hand on one mission's alone.

    `hostings` are those of all seats of an installation.
    """

    async def everything(_: web.Request) -> web.Response:
        families: list[Family] = [
            gauge(
                "exclave_vault_build_info",
                "The software that serves.",
                ({"version": __version__}, 1),
            ),
            *process_families(),
            *request_families(sum((one.requests for one in hostings), Counter())),
        ]
        missions = [item.mission for one in hostings for item in one.missions.values()]
        families += await hostings[0].run(_all, missions)
        return _response(families)

    async def of_mission(request: web.Request) -> web.Response:
        try:
            mission = MissionId(bytes.fromhex(request.match_info["mission"]))
            hosting = next(one for one in hostings if mission in one.missions)
        except (StopIteration, ValueError) as error:
            raise web.HTTPNotFound from error
        hosted = hosting.missions[mission]
        counted = {key: n for key, n in hosting.requests.items() if key[0] == mission.hex()}
        families = await hosting.run(_all, [hosted.mission])
        return _response([*families, *request_families(counted)])

    app = web.Application()
    app.router.add_get("/metrics", everything, allow_head=False)
    app.router.add_get("/metrics/{mission}", of_mission, allow_head=False)
    return app


def _response(families: Iterable[Family]) -> web.Response:
    return web.Response(body=exposition(families).encode(), headers={"Content-Type": CONTENT_TYPE})


def request_families(counted: Mapping[tuple[str, str, str], int]) -> Iterator[Family]:
    """Requests of both listeners since the start, by mission, kind and outcome."""
    yield counter(
        "exclave_vault_requests_total",
        "Requests by kind and outcome: ok, or the cause of the problem document.",
        *(
            ({"mission": mission, "kind": kind, "outcome": outcome}, number)
            for (mission, kind, outcome), number in sorted(counted.items())
        ),
    )


def _all(missions: Iterable[Mission]) -> list[Family]:
    """The families of all missions, joined by name: an exposition has each once."""
    found: dict[str, Family] = {}
    for mission in missions:
        try:
            families = list(mission_families(mission))
            up = 1
        except ExclaveError:
            families, up = [], 0
        families.append(
            gauge(
                "exclave_vault_mission_up",
                "Whether the vault can say how a mission stands.",
                ({"mission": mission.mission.hex()}, up),
            )
        )
        for family in families:
            known = found.get(family.name)
            found[family.name] = family if known is None else known.joined(family)
    return list(found.values())


def mission_families(mission: Mission) -> Iterator[Family]:
    """One mission's volumes and health; raises `ExclaveError` when they cannot be found out."""
    status = mission.status()
    label = {"mission": mission.mission.hex()}
    yield gauge(
        "exclave_vault_mission_info",
        "The seat that a mission has here.",
        ({**label, "seat": str(status.seat)}, 1),
    )
    yield from _volumes(status, label)
    yield from _health(status, label)
    yield from _times(mission, status, label)


def _volumes(status: MissionStatus, label: Mapping[str, str]) -> Iterator[Family]:
    for name, help, value in (
        ("shards", "Shards stored.", status.shards),
        ("shard_bytes", "Bytes of all shards stored.", status.shard_bytes),
        ("staged_bytes", "Bytes of shards that no record names yet.", status.staged_bytes),
        ("quota_bytes", "What the charter grants all depositors.", status.quota_bytes),
        ("free_bytes", "Bytes free on the disk that holds the mission.", status.free_bytes),
        ("log_entries", "Entries of the log.", status.log_size),
    ):
        yield gauge(f"exclave_vault_{name}", help, (label, value))


def _health(status: MissionStatus, label: Mapping[str, str]) -> Iterator[Family]:
    records = Counter(item.state.value for item in status.records)
    states = [item.state for item in status.warrants] + [item.state for item in status.standing]
    for name, help, value in (
        ("locked", "1 while a lockdown is in force.", int(status.locked)),
        ("frozen", "1 while two charters claim one place.", int(status.frozen)),
        ("forks", "Records that claim another's place.", len(status.forks)),
        ("conflicts", "Charters whose place was taken.", len(status.conflicts)),
        (
            "quarantined_entries",
            "Log entries that cannot be followed.",
            len(status.quarantined),
        ),
        (
            "waiting_statements",
            "Warrants, charters and orders that wait.",
            sum(state in _WAITING for state in states),
        ),
    ):
        yield gauge(f"exclave_vault_{name}", help, (label, value))
    yield gauge(
        "exclave_vault_records",
        "Deposit records by state.",
        *(
            ({**label, "state": state.value}, records[state.value])
            for state in (State.PENDING, State.LODGED, State.FORKED)
        ),
    )
    yield gauge(
        "exclave_vault_alarm",
        "1 for each alarm that stands.",
        *(({**label, "cause": alarm.cause}, 1) for alarm in status.alarms),
    )


def _times(mission: Mission, status: MissionStatus, label: Mapping[str, str]) -> Iterator[Family]:
    with mission.lock:
        head = mission.cosigned.checkpoint
        covered = 0 if head is None else min(head.size, mission.log.size)
    newest = max((parse_time(item.logged) for item in status.records), default=None)
    for name, help, value in (
        (
            "uncosigned_entries",
            "Log entries no witness quorum has seen.",
            status.log_size - covered,
        ),
        (
            "witness_lag_seconds",
            "Age of the oldest timestamp in the newest witness quorum; absent without a quorum.",
            _age(mission.clock(), status.witnessed),
        ),
        (
            "expiry_timestamp_seconds",
            "The time by which things expire here.",
            parse_time(status.expiry).timestamp(),
        ),
        ("service_time_seconds", "How long this mission has been served.", status.service / 1000),
        (
            "last_record_timestamp_seconds",
            "When the newest state of a deposit record was logged.",
            None if newest is None else newest.timestamp(),
        ),
    ):
        yield gauge(f"exclave_vault_{name}", help, (label, value))


def _age(now: datetime, time: str | None) -> float | None:
    return None if time is None else max(0.0, (now - parse_time(time)).total_seconds())
