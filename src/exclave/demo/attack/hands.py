"""What people of a drill do: with the real commands, or with the library when they are not honest.

`Hands` acts for officials who follow the guides: each step is a run of the program in a process of
its own with an empty environment. `Forger` has keys too, and signs whatever he likes in this
process, past every warning and check of the command line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from exclave.authority.charter import Charter
from exclave.authority.envelope import Envelope, parse_envelope
from exclave.authority.orders import Order, OrderHead, kind_of, order_payload
from exclave.clock import now
from exclave.demo.mission import PASSPHRASE, keys_of, official_folder, person
from exclave.demo.stage import Stage
from exclave.ids import StatementHash
from exclave.signer.bundle import KeyBundle
from exclave.signer.file import load_key_file
from exclave.signer.interface import sign_envelope
from exclave.values import dataclass, field

__all__ = ["Forger", "Hands", "Reading", "statement_of"]

_EMPTY: Final[dict[str, str]] = {}
_ANY_ANSWER: Final = (0, 5)
"""No vault took it: to be looked at, not to stop at."""
_ANY_END: Final = (0, 1)


def statement_of(file: Path) -> StatementHash:
    """The hash of the statement in a file."""
    return parse_envelope(file.read_bytes()).statement_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A restoring machine's folder."""

    folder: Path
    deposit: str
    warrant: StatementHash

    @property
    def file(self) -> Path:
        """The warrant's file."""
        return self.folder / "warrant.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """Officials at their desks: `card` says where the vaults are, `desk` holds their files."""

    stage: Stage
    card: Path
    desk: Path

    def sign(self, file: Path, labels: Sequence[str], charter: Path | None = None) -> None:
        """Add signatures to a statement's file, place by place."""
        law = () if charter is None else ("--charter", charter)
        for keys in self._keys(labels):
            self._run("sign", file, "--yes", *law, *keys)

    def order(self, name: str, labels: Sequence[str], *words: str | Path) -> Path:
        """Make an order's file and have it signed; the charter is asked from the vaults."""
        file = self.desk / f"{name.replace(' ', '-')}.json"
        first, *others = self._keys(labels)
        self._run(
            *(*words, "--card", self.card, "--reason", name, "--out", file, "--yes", *first),
        )
        for keys in others:
            self._run("sign", file, "--yes", *keys)
        return file

    def hand_in(self, file: Path, *seats: int) -> Mapping[str, Any]:
        """Hand a statement to some vaults, or to all; what each answered."""
        only = [word for seat in seats for word in ("--seat", str(seat))]
        answers: Mapping[str, Any] = self._run(
            "submit", file, "--card", self.card, *only, accept=_ANY_ANSWER
        )["seats"]
        return answers

    def prepare(self, name: str) -> Reading:
        """Survey the vaults and make a reading's folder."""
        folder = self.desk / name
        made = self._run(
            "warrant", "prepare", "--card", self.card, "--out", folder, "--purpose", name
        )
        return Reading(
            folder=folder,
            deposit=made["deposit"],
            warrant=StatementHash(bytes.fromhex(made["warrant"])),
        )

    def submit(self, reading: Reading) -> Mapping[str, Any]:
        """Hand in a warrant as far as it is signed."""
        answers: Mapping[str, Any] = self._run(
            "warrant", "submit", reading.folder, accept=_ANY_ANSWER
        )["seats"]
        return answers

    def unseal(self, reading: Reading, cards: Sequence[Path]) -> Path:
        """Put cards together; the answer's file."""
        answer = reading.folder / "answer.json"
        self._run(
            *("unseal", reading.folder / "unseal-request.json", "--out", answer, "--yes"),
            *(word for card in cards for word in ("--card", card)),
        )
        return answer

    def reconstruct(self, reading: Reading, answer: Path, into: Path) -> Any:
        """Restore and compare everything; the report."""
        targets = self.desk / f"targets-{into.name}.toml"
        targets.write_text(
            f'[default.folder]\nkind = "folder"\npath = "{into}"\n', encoding="utf-8"
        )
        return self._run(
            *("reconstruct", reading.folder, "--answer", answer, "--targets", targets),
            accept=_ANY_END,
        )

    def run(self, *words: str | Path) -> Any:
        """Any other command."""
        return self._run(*words)

    def _keys(self, labels: Sequence[str]) -> list[tuple[str | Path, ...]]:
        people = [person(label) for label in labels]
        folders = dict.fromkeys(official_folder(self.stage, item) for item in people)
        return [
            keys_of(
                self.stage,
                [item for item in people if official_folder(self.stage, item) == folder],
            )
            for folder in folders
        ]

    def _run(self, *words: str | Path, accept: Sequence[int] = (0,)) -> Any:
        return self.stage.run(*words, cwd=self.desk, env=_EMPTY, accept=accept)


@dataclass(slots=True, kw_only=True)
class Forger:
    """Signs in this process with the key files of some officials."""

    stage: Stage
    law: Charter
    _bundles: dict[str, KeyBundle] = field(default_factory=dict)

    def head(self, reason: str) -> OrderHead:
        """The head of a new order under the charter that he knows."""
        return OrderHead(
            mission=self.law.mission_id,
            charter=StatementHash(self.law.statement_hash),
            nonce=os.urandom(16),
            issued=now().replace(microsecond=0),
            reason=reason,
        )

    def order(self, order: Order, labels: Sequence[str]) -> Envelope:
        """An order with these signatures, whether they count or not."""
        return self.sign(Envelope(payload=order_payload(order), kind=kind_of(order)), labels)

    def sign(self, envelope: Envelope, labels: Sequence[str]) -> Envelope:
        """A statement with these signatures added."""
        for label in labels:
            envelope = sign_envelope(envelope, self._bundle(label).signers)
        return envelope

    def signers(self, labels: Sequence[str]) -> list[Any]:
        """What else signs with these keys."""
        return [signer for label in labels for signer in self._bundle(label).signers]

    def _bundle(self, label: str) -> KeyBundle:
        if label not in self._bundles:
            folder = official_folder(self.stage, person(label))
            passphrase = (folder / PASSPHRASE).read_bytes().rstrip()
            self._bundles[label] = load_key_file(
                folder / person(label).key_file, lambda: passphrase
            )
        return self._bundles[label]
