"""Where a drill plays: a mission of three vaults with two small registers, founded for it.

The same steps as in the demo, by the same commands. `Place` holds what both scripts share; who
acts in them, and with what, is theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from exclave.authority.charter import Charter
from exclave.demo.attack.estate import contents, fill_registers, plan_toml
from exclave.demo.attack.findings import Book
from exclave.demo.attack.hands import Hands
from exclave.demo.founding import Law
from exclave.demo.mission import (
    Home,
    HostedVault,
    found_mission,
    open_hosts,
    serve_vault,
    serve_vaults,
)
from exclave.demo.narration import Narrator
from exclave.demo.reach import Reach, stored_objects
from exclave.demo.stage import Stage
from exclave.values import dataclass, field
from exclave.wiring.files import load_charter

__all__ = ["Place", "set_up"]


@dataclass(slots=True, kw_only=True)
class Place:
    """A founded mission whose vaults serve."""

    stage: Stage
    book: Book
    home: Home
    charter: Charter
    vaults: dict[int, HostedVault]  # by seat
    reach: Reach
    _before: dict[int, Mapping[str, str]] = field(default_factory=dict)

    @property
    def registers(self) -> Path:
        """Where the registers are."""
        return self.home.folder / "registers"

    def hands(self, embassy: str) -> Hands:
        """Officials at an embassy, who know the vaults from a card there."""
        cards = self.cards(embassy)
        return Hands(stage=self.stage, card=cards[0], desk=self.stage.make("abroad", embassy))

    def cards(self, embassy: str) -> Sequence[Path]:
        """Two cards of an embassy: its group's threshold."""
        return sorted(self.stage.make("abroad", embassy).glob("card-*.txt"))[:2]

    def mission_folder(self, seat: int) -> Path:
        """The mission's folder at a vault."""
        return self.vaults[seat].folder / "missions" / self.charter.mission_id.hex()

    def stop(self, seat: int) -> None:
        """Stop a vault's process; its folder stays."""
        process = self.vaults[seat].process
        assert process is not None
        process.kill()

    def serve(self, seat: int) -> None:
        """Let it serve again."""
        self.vaults[seat] = serve_vault(self.stage, self.vaults[seat])

    # What must not change

    def remember(self, *seats: int) -> int:
        """Hash everything that these vaults hold now; how many shards and bodies."""
        self._before = {seat: stored_objects(self.mission_folder(seat)) for seat in seats}
        return sum(map(len, self._before.values()))

    def expect_all_there(self) -> None:
        """What was remembered is there, byte for byte."""
        lost = total = 0
        for seat, before in self._before.items():
            after = stored_objects(self.mission_folder(seat))
            total += len(before)
            lost += sum(after.get(name) != digest for name, digest in before.items())
        seats = ", ".join(map(str, self._before))
        self.book.expect(
            f"every shard and body that seats {seats} held is there, byte for byte",
            total > 0 and lost == 0,
            f"{total} hashed before and after, {lost} differ",
        )

    def expect_restored(self, folder: Path, was: Mapping[str, str], proven: bool) -> None:
        """The registers in `folder` are what they were."""
        same = contents(folder) if proven else {}
        wrong = [name for name in was if same.get(name) != was[name]]
        self.book.expect(
            "every file and every row came back as it was captured",
            proven and same == was,
            f"{len(was) - len(wrong)} of {len(was)} by plain hashes; the report says "
            + ("proven" if proven else "DIFFERENCES"),
        )


def set_up(stage: Stage, narrator: Narrator, book: Book, law: Law, at_end: ExitStack) -> Place:
    """Registers, hosts, founding, vaults that serve."""
    home = Home(folder=stage.make("home"))
    registers = home.folder / "registers"
    fill_registers(registers, seed=1)
    home.plan.write_text(plan_toml(registers), encoding="utf-8")
    vaults = open_hosts(stage, narrator)
    found_mission(stage, narrator, home, vaults, law)
    served = serve_vaults(stage, narrator, home, vaults)
    charter = load_charter(home.charter)
    return Place(
        stage=stage,
        book=book,
        home=home,
        charter=charter,
        vaults={vault.host.seat: vault for vault in served},
        reach=at_end.enter_context(Reach(charter)),
    )
