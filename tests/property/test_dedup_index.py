"""The dedup index against a dictionary: whatever is entered, dropped, lost or interrupted."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from exclave.journal.store import Journal
from tests.support.indexing import chunk_of, made_pack, made_record, open_journal

CHUNKS = 120  # different ones, so that packs share some


class Indexed(RuleBasedStateMachine):
    """A journal, and for each shared pack the chunks that it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="exclave-index-"))
        self.folders = 0
        self.epoch = 1
        self.sequence = 0
        self.made = 0
        self.shared: dict[int, set[int]] = {}
        self.journal = self.opened()

    @property
    def folder(self) -> Path:
        return self.place / str(self.folders)

    def opened(self) -> Journal:
        self.folder.mkdir(exist_ok=True)
        return open_journal(self.folder, epoch=self.epoch)

    @rule(chunks=st.sets(st.integers(0, CHUNKS - 1), min_size=1, max_size=30))
    def a_pack_becomes_safe(self, chunks: set[int]) -> None:
        self.made += 1
        number = self.journal.add_safe_pack(made_pack(self.made, sorted(chunks)))
        assert number == self.made
        self.shared[number] = chunks

    @rule(data=st.data())
    def a_record_names_some(self, data: st.DataObject) -> None:
        """Packs that it does not name are dropped if the record before named them."""
        named = data.draw(st.sets(st.sampled_from(sorted(self.shared)))) if self.shared else set()
        dropped = set(self.live()) - named
        self.sequence += 1
        roots = [made_pack(number, ()).root for number in named]
        self.journal.store_record(made_record(self.sequence), roots)
        for number in dropped:
            del self.shared[number]

    @rule(data=st.data())
    def a_seat_loses_a_shard(self, data: st.DataObject) -> None:
        if self.shared:
            number = data.draw(st.sampled_from(sorted(self.shared)))
            shard = made_pack(number, ()).shards[0]
            assert self.journal.mark_lost(shard.seat, [shard.root]) == 1
            del self.shared[number]

    @rule()
    def a_new_epoch_begins(self) -> None:
        self.journal.close()
        self.epoch += 1
        self.shared.clear()
        self.journal = self.opened()

    @rule()
    def it_is_closed_and_opened(self) -> None:
        self.journal.close()
        self.journal = self.opened()

    @rule()
    def the_process_dies(self) -> None:
        """The disk as it is at this moment, while the old process still has everything open."""
        before, old = self.folder, self.journal
        self.folders += 1
        shutil.copytree(before, self.folder)
        self.journal = self.opened()
        old.close()

    @rule()
    def the_index_is_lost(self) -> None:
        self.journal.close()
        shutil.rmtree(self.folder / "journal.index", ignore_errors=True)
        self.journal = self.opened()

    def live(self) -> list[int]:
        return sorted(p.n for p in self.journal.packs_by_root(self.journal.live_roots()))

    @invariant()
    def it_answers_like_a_dictionary(self) -> None:
        places = self.journal.lookup([chunk_of(number) for number in range(CHUNKS)])
        for number, place in enumerate(places):
            holders = {pack for pack, chunks in self.shared.items() if number in chunks}
            if place is None:
                assert not holders
            else:
                assert place.pack in holders
                assert place.offset == number
        assert self.journal.chunk_count() == sum(map(len, self.shared.values()))

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.place)


@pytest.mark.timeout(300)
def test_it_answers_like_a_dictionary_whatever_happens() -> None:
    few = settings(stateful_step_count=30, max_examples=min(settings().max_examples, 200))
    run_state_machine_as_test(Indexed, settings=few)  # type: ignore[no-untyped-call]
