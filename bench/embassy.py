"""Exclave itself: deposits and reconstructions by its own program, to vault processes.

The mission is founded and its vaults are started before the clock runs, the warrant is signed and
released and the cards have answered before the reconstruction's clock runs: people and delays are
not speed. Files at k=n=1 go to a seat in a local folder and come from it, as with other tools: its
vault's rules run in Exclave's own process: streamed hashing, fsync, the log, the warrant. It is
served only while the warrant is handed in. Start-up is what commands take that do next to nothing;
`status` asks such a seat.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.data import DataSet, compare_trees
from bench.measuring import BenchFailed, Cost, Run, cpu_seconds, run_program, tree_size
from exclave.authority.envelope import parse_envelope
from exclave.demo.founding import READERS_ABROAD
from exclave.durable import replace_file
from exclave.signer.interface import sign_envelope
from exclave.source.files.recall import SETTLED
from tests.support.embassy import PROGRAM, Embassy, found_embassy

__all__ = [
    "PROGRAM_ALONE",
    "STARTS",
    "exclave",
    "prepare_reading",
    "rebuild",
    "rest",
    "start_up",
    "write_config",
]

PROGRAM_ALONE = "exclave"
"""The contender of measurements in which no vault takes part, or one at hand that is only asked."""
STARTS = ("start-up, --help", "start-up, status")
"""Steps of `start_up`."""
_CARDS = ((2, 1), (2, 2), (3, 1), (3, 2))


def exclave(*, n: int, k: int) -> Callable[[Path, DataSet, int], list[Run]]:
    """First and second deposit of the data as one register, reconstruction with comparison."""

    def run(place: Path, data: DataSet, repeat: int) -> list[Run]:
        with found_embassy(place / "embassy", n=n, k=k, processes=True) as embassy:
            return _three(embassy, place, data, f"exclave {k}-of-{n}", repeat)

    return run


def start_up(place: Path, times: int) -> list[Run]:
    """How long it takes until commands answer that have nothing to do: `STARTS`."""
    folder = place / "register"
    folder.mkdir()
    with found_embassy(place / "embassy", n=1, k=1, processes=True) as embassy:
        config = write_config(embassy, f'kind = "files"\npath = "{folder}"\n')
        _put_at_hand(embassy, config)
        _program("deposit", "--config", str(config))
        help_, status = STARTS
        commands = {help_: ("--help",), status: ("status", "--config", str(config))}
        return [
            _program(*words).as_run(PROGRAM_ALONE, step, repeat)
            for repeat in range(1, times + 1)
            for step, words in commands.items()
        ]


def write_config(embassy: Embassy, source: str) -> Path:
    """The depositor's configuration with one register; `source` is its TOML."""
    config = embassy.write_config()
    (embassy.home / "registers.toml").write_text(
        '[[register]]\nid = "bench"\ntitle = "Measured"\nowner = "bench"\n'
        'classification = "none"\nrpo = "1 d"\nrto = "1 d"\n[register.source]\n' + source
    )
    return config


def rebuild(answer: Path, place: Path, targets: str, *, program: Sequence[str] = PROGRAM) -> Cost:
    """Reconstruct what was prepared into the targets (TOML); raises unless all is proven."""
    reading, file = answer.parent, place / "targets.toml"
    file.write_text(targets)
    words = ("reconstruct", str(reading), "--answer", str(answer), "--targets", str(file))
    cost = run_program([*program, *words])
    if "PROVEN" not in (reading / "report.txt").read_text():
        raise BenchFailed("exclave: the reconstruction is not proven")
    return cost


def prepare_reading(embassy: Embassy, place: Path) -> Path:
    """A released warrant and the cards' answer for the newest deposit; not to be measured."""
    folder = place / "reading"
    cards = {
        place: embassy.folder / "cards" / f"card-{place[0]}-{place[1]}.txt" for place in _CARDS
    }
    _program("warrant", "prepare", "--card", str(cards[2, 1]), "--out", str(folder))
    warrant = parse_envelope((folder / "warrant.json").read_bytes())
    for label in READERS_ABROAD:
        warrant = sign_envelope(warrant, embassy.officials[label].signers)
    replace_file(folder / "warrant.json", [warrant.to_bytes()], mode=0o600)
    _program("warrant", "submit", str(folder))
    for seat in embassy.running():
        embassy.await_release(seat, warrant)
    given = [word for card in cards.values() for word in ("--card", str(card))]
    _program("unseal", str(folder / "unseal-request.json"), *given, "--yes")
    return folder / "answer.json"


def _program(*words: str) -> Cost:
    return run_program([*PROGRAM, *words])


def _three(embassy: Embassy, place: Path, data: DataSet, contender: str, repeat: int) -> list[Run]:
    config = write_config(embassy, f'kind = "files"\npath = "{data.folder}"\n')
    alone = len(embassy.vaults) == 1
    if alone:
        _put_at_hand(embassy, config)
    runs: list[Run] = []

    def step(name: str, act: Callable[[], Cost]) -> None:
        before = _vaults_cpu(embassy)
        cost = act()
        spent = _vaults_cpu(embassy) - before
        stored = tree_size(embassy.folder / "vaults")
        runs.append(cost.as_run(contender, name, repeat, stored=stored, other_cpu=spent))

    out = place / "out"
    step("first", lambda: _program("deposit", "--config", str(config)))
    step("second", lambda: _program("deposit", "--config", str(config)))
    if alone:
        embassy.start_vault(1)
    targets = f'[default.folder]\nkind = "folder"\npath = "{out}"\n'
    answer = prepare_reading(embassy, place)
    if alone:
        embassy.stop_vault(1)
        targets += f'[[seat]]\nseat = 1\nfolder = "{embassy.vault_folder(1)}"\n'
    step("restore", lambda: rebuild(answer, place, targets))
    compare_trees(data.folder, out / "bench")
    return runs


def rest(data: DataSet) -> None:
    """Wait until no file's change is so fresh that the second deposit would read it again."""
    newest = max(file.stat().st_ctime_ns for file in data.folder.rglob("*"))
    time.sleep(max(0, newest + SETTLED - time.time_ns()) / 1e9 + 1)


def _put_at_hand(embassy: Embassy, config: Path) -> None:
    """Seat 1 in a local folder, in place of its server."""
    embassy.stop_vault(1)
    with config.open("a") as stream:
        stream.write(f'\n[[seat]]\nseat = 1\nfolder = "{embassy.vault_folder(1)}"\n')


def _vaults_cpu(embassy: Embassy) -> float:
    running = [vault.process for vault in embassy.vaults.values() if vault.process is not None]
    return sum(cpu_seconds(process.pid) for process in running)
