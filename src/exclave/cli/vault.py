"""The host operator's commands: `vault init`, `seat`, `enrol`, `serve`, `status` and the like."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from exclave.cli.allocator import return_large_memory
from exclave.cli.options import Flag, Out
from exclave.errors import DifferenceFound, IntegrityError, UsageError
from exclave.plain_words import grouped, size

if TYPE_CHECKING:
    from exclave.vault.interface import MissionStatus

__all__ = ["vault"]

vault = App(name="vault", help="A vault in a receiving state.", help_format="plaintext")


@vault.command(name="init")
def init(
    folder: Path,
    *,
    vault: str,
    state: str,
    operator: str,
    data: str,
    public: str,
    state_key: Path | None = None,
    without_agreement: Flag = False,
    terminal: Out,
) -> None:
    """Set up a vault's folder and export its seat request.

    Missions that are enrolled here make new deposits under an agreement of both states only, unless
    it is set up without.

    Parameters
    ----------
    folder
        The new vault's folder.
    vault
        Its name, such as vault-1.
    state
        The receiving state's code: two capital letters.
    operator
        Who runs it, in words.
    data
        Address and port of the data listener, such as 10.0.0.5:8443.
    public
        Address and port of the public record.
    state_key
        The receiving state's public keys file (exclave agreement key): it signs agreements.
    without_agreement
        Take deposits without one.
    """
    from exclave.wiring.new_vaults import init_vault

    if without_agreement is (state_key is not None):
        raise UsageError(
            "vault init: expected either --state-key or --without-agreement",
            hint="the receiving state makes its key with exclave agreement key",
        )
    made = init_vault(
        folder,
        vault=vault,
        state=state,
        operator=operator,
        data=data,
        public=public,
        state_key=state_key,
    )
    terminal.result(
        {
            "vault": vault,
            "seat_request": str(made.seat_request),
            "identity": made.identity_hash.hex(),
            "log_key": made.log_key.key_id,
        },
        [
            f"vault {vault} in {folder}",
            f"seat request  {made.seat_request} "
            + (
                "(hand this to the founders)"
                if state_key is None
                else "(the receiving state signs it: exclave agreement vouch)"
            ),
            f"identity      {grouped(made.identity_hash)}",
        ],
    )


@vault.command(name="seat")
def seat(folder: Path, name: str, *, data: str, public: str, terminal: Out) -> None:
    """Make one more seat, for another guest, and export its seat request.

    Each mission of an installation has a seat with keys and addresses of its own; vault init made
    the first one. A running server may go on meanwhile.

    Parameters
    ----------
    folder
        The vault's folder.
    name
        Your own word for the guest, such as estonia; nobody else is told.
    data
        Address and port of the seat's data listener, inside the line of its guest.
    public
        Address and port of its public record.
    """
    from exclave.wiring.new_vaults import add_seat_to_vault

    made = add_seat_to_vault(folder, name, data=data, public=public)
    terminal.result(
        {
            "seat": name,
            "seat_request": str(made.seat_request),
            "identity": made.identity_hash.hex(),
            "log_key": made.log_key.key_id,
        },
        [
            f"seat {name} in {folder}",
            (
                f"seat request  {made.seat_request} (for this guest's founders, once vouched for "
                "where the first one was)"
            ),
            f"identity      {grouped(made.identity_hash)}",
        ],
    )


@vault.command(name="next-request")
def next_request(
    folder: Path, *, state_key: Path, out: Path, seat: str | None = None, terminal: Out
) -> None:
    """Write a seat's request with another key of the receiving state, for it to sign.

    Parameters
    ----------
    folder
        The vault's folder.
    state_key
        The public keys file of the new key.
    out
        The new file.
    seat
        A further seat's name; the first one otherwise.
    """
    from exclave.wiring.state_keys import next_request as written

    key = written(folder, state_key=state_key, out=out, seat=seat)
    terminal.result(
        {"seat_request": str(out), "key": key},
        [
            f"seat request  {out} (signed by the new key, and with --retiring by the old one)",
            f"key           {key}",
        ],
    )


@vault.command(name="pin")
def pin(folder: Path, request: Path, *, lost: str | None = None, terminal: Out) -> None:
    """Pin the receiving state's next key; the server must be stopped.

    Parameters
    ----------
    folder
        The vault's folder.
    request
        The seat request of exclave vault next-request, signed by both keys.
    lost
        The old key is lost: the new key's id, as the receiving state told it by another way. The
        sending state's charter in force must name it, too.
    """
    from exclave.wiring.state_keys import pin_state_key

    pinned = pin_state_key(folder, request, told=lost)
    terminal.result(
        {"missions": [{"mission": mission.hex(), "key": pins.key} for mission, pins in pinned]},
        [f"mission {mission.hex()[:16]}: pinned {pins.key}" for mission, pins in pinned]
        or ["no mission to pin it for"],
    )


@vault.command(name="enrol")
def enrol(folder: Path, enrolment: Path, *, mission: str, terminal: Out) -> None:
    """Pin a mission at the seat whose keys its charter names.

    Parameters
    ----------
    folder
        The vault's folder.
    enrolment
        The enrolment file that the founders made for this vault.
    mission
        The mission id in hex, as the founders told it by another way than the file.
    """
    from exclave.cli.names import named_mission
    from exclave.wiring.host import enrol_vault

    found, charter = enrol_vault(folder, enrolment, mission=named_mission(mission))
    terminal.result(
        {"mission": found.mission.hex(), "seat": found.seat, "state": charter.state_code},
        [
            f"mission {grouped(found.mission)} of {charter.state_name}: seat {found.seat}",
            "a running server takes it up when it is started again",
        ],
    )


@vault.command(name="serve")
def serve(folder: Path, *, terminal: Out) -> None:
    """Serve until SIGTERM; prints one line of JSON when both listeners accept.

    Parameters
    ----------
    folder
        The vault's folder.
    """
    from exclave.wiring.host import serve_vault

    # Uploads come in pieces of a quarter of a MiB: left alone, the allocator gives their memory
    # back and takes it anew, at 80 page faults a MiB.
    return_large_memory()
    terminal.show_log()
    serve_vault(folder)


@vault.command(name="status")
def status(folder: Path, *, terminal: Out) -> int:
    """Show health and volumes of each mission; there is no content to show.

    Ends with 1 when a mission is not healthy: clock, witness, a witness duty, or disk.

    Parameters
    ----------
    folder
        The vault's folder.
    """
    from exclave.wiring.capacity import disk_room
    from exclave.wiring.host import status_vault

    found = status_vault(folder)
    room = disk_room(folder, found)
    lines = [line for item in found for line in _status_lines(item)] or ["no mission enrolled"]
    promised = f"; agreed and still to come {size(room.promised)}" if room.promised else ""
    lines.append(f"disk: {size(room.free)} free{promised}")
    terminal.result(
        {
            "missions": [_status_json(item) for item in found],
            "disk": {
                "free_bytes": room.free,
                "promised_bytes": room.promised,
                "short_bytes": room.short,
            },
        },
        lines,
    )
    if room.warning is not None:
        terminal.warning(room.warning, hint="a larger disk, before what was agreed comes")
    return DifferenceFound.exit_code if any(item.ailing for item in found) else 0


@vault.command(name="fsck")
def fsck(folder: Path, *, rebuild: Flag = False, terminal: Out) -> int:
    """Check every stored byte, the log, and what its statements rest on.

    Ends with 7 when something is not as it must be. No stored object or log is ever changed.

    Parameters
    ----------
    folder
        The vault's folder.
    rebuild
        Also make the index again from the stored objects; the server must be stopped.
    """
    from exclave.wiring.host import fsck_vault, rebuild_vault

    if rebuild:
        terminal.info(f"index made again for {rebuild_vault(folder)} missions")
    found = fsck_vault(folder)
    lines: list[str] = []
    for mission, report in found:
        lines.append(
            f"mission {mission.hex()[:16]}: {report.shards} shards ({size(report.shard_bytes)}), "
            f"{report.swept} swept, {report.bodies} bodies, {report.entries} log entries "
            f"({report.cosigned} cosigned), {len(report.bad)} bad"
        )
        lines += [f"  BAD {item.key}: {item.what}" for item in report.bad]
    terminal.result(
        {
            "missions": [
                {
                    "mission": mission.hex(),
                    "shards": report.shards,
                    "shard_bytes": report.shard_bytes,
                    "swept": report.swept,
                    "bodies": report.bodies,
                    "entries": report.entries,
                    "cosigned": report.cosigned,
                    "bad": [{"key": item.key, "what": item.what} for item in report.bad],
                }
                for mission, report in found
            ]
        },
        lines or ["no mission enrolled"],
    )
    return IntegrityError.exit_code if any(report.bad for _, report in found) else 0


@vault.command(name="submit")
def submit(folder: Path, file: Path, *, terminal: Out) -> None:
    """Hand in a statement that somebody carried here: it authenticates itself.

    Parameters
    ----------
    folder
        The vault's folder.
    file
        The statement: a charter, warrant, order, record or supplement.
    """
    from exclave.wiring.host import submit_to_vault

    state = submit_to_vault(folder, file)
    left = "" if state.seconds is None else f", {state.seconds} s until release"
    terminal.result(
        {
            "state": state.state.value,
            "statement": state.statement.hex(),
            "entry": state.entry,
            "seconds": state.seconds,
        },
        [f"{state.state.value}{left} (entry {state.entry})"],
    )


def _status_json(item: MissionStatus) -> dict[str, object]:
    return {
        "mission": item.mission.hex(),
        "seat": item.seat,
        "state": item.state,
        "charter": item.charter.hex(),
        "charters": item.charters,
        "locked": item.locked,
        "frozen": item.frozen,
        "log_size": item.log_size,
        "shards": item.shards,
        "shard_bytes": item.shard_bytes,
        "staged_bytes": item.staged_bytes,
        "quota_bytes": item.quota_bytes,
        "free_bytes": item.free_bytes,
        "records": dict(_counts(item)),
        "pending": dict(_reasons(item)),
        "capacity_bytes": item.capacity_bytes,
        "warrants": [
            {"statement": w.statement.hex(), "state": w.state.value, "seconds": w.seconds}
            for w in item.warrants
        ],
        "standing": [
            {
                "statement": one.statement.hex(),
                "kind": one.kind,
                "state": one.state.value,
                "seconds": one.seconds,
            }
            for one in item.standing
        ],
        "conflicts": [conflict.hex() for conflict in item.conflicts],
        "quarantined": [{"entry": one.entry, "why": one.why} for one in item.quarantined],
        "forks": [fork.hex() for fork in item.forks],
        "alarms": [
            {"cause": alarm.cause, "began": alarm.began, "detail": alarm.detail}
            for alarm in item.alarms
        ],
        "healthy": not item.ailing,
        "witnessed": item.witnessed,
        "expiry": item.expiry,
    }


def _status_lines(item: MissionStatus) -> list[str]:
    from exclave.cli.words.states import state_words

    records = ", ".join(f"{count} {state}" for state, count in _counts(item)) or "none"
    volume = f"{item.shards} shards, {size(item.shard_bytes)}; staged {size(item.staged_bytes)}"
    lines = [
        f"mission {item.mission.hex()[:16]} of {item.state}, seat {item.seat}",
        f"  {volume}; free {size(item.free_bytes)}",
        f"  records: {records}; log of {item.log_size} entries; {item.charters} charters",
    ]
    lines += [f"  pending, {count}: {reason}" for reason, count in _reasons(item)]
    if item.capacity_bytes is not None:
        lines.append(f"  agreed: {size(item.capacity_bytes)} of shards at this seat")
    lines.append(f"  charter in force: {item.charter.hex()}")
    if item.locked:
        lines.append("  LOCKED DOWN: home is frozen, only exile acts")
    if item.frozen:
        lines.append("  FROZEN: two charters of one order; only a new era ends that")
    named = [("warrant", w.statement, w.state, w.seconds) for w in item.warrants]
    named += [(one.kind, one.statement, one.state, one.seconds) for one in item.standing]
    lines += [
        f"  {kind} {statement.hex()}: {state_words(state, seconds)}"
        for kind, statement, state, seconds in named
    ]
    lines += [f"  CONFLICT: charter {conflict.hex()}" for conflict in item.conflicts]
    lines += [f"  entry {one.entry} cannot be followed: {one.why}" for one in item.quarantined]
    lines.append(f"  witnessed: {item.witnessed or 'by no quorum yet'}; expiry time: {item.expiry}")
    if item.ailing:
        lines.append(f"  NOT HEALTHY: {', '.join(item.ailing)}")
    lines += [f"  ALARM {alarm.cause} since {alarm.began}: {alarm.detail}" for alarm in item.alarms]
    lines += [f"  FORK: record {fork.hex()[:16]}" for fork in item.forks]
    return lines


def _reasons(item: MissionStatus) -> list[tuple[str, int]]:
    """Why records are pending, such as an agreement that has ended, and how many."""
    reasons: dict[str, int] = {}
    for record in item.records:
        if record.reason is not None:
            reasons[record.reason] = reasons.get(record.reason, 0) + 1
    return sorted(reasons.items())


def _counts(item: MissionStatus) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for record in item.records:
        counts[record.state.value] = counts.get(record.state.value, 0) + 1
    return sorted(counts.items())
