"""The journal of a command: it goes on with the same settings only, and starts afresh whenever it is told to."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.unit.cli.test_shared_options import options

from fanwise.cli._journals import Journal, journal_of
from fanwise.errors import UsageError

SETTINGS = st.fixed_dictionaries(
    {"method": st.sampled_from(["midp", "wald"]), "alpha": st.sampled_from([0.05, 0.1]), "version": st.just("1")}
)


class Calls(RuleBasedStateMachine):
    """Calls of one command with one output, some of which are cut short."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.journal = journal_of(Path(self.folder.name), "ci", Path("o.csv"))
        self.kept: list[str] = []
        self.settings: dict[str, Any] | None = None

    def _cut_short(self, chosen: dict[str, Any]) -> None:
        self.kept.append("row")
        self.journal.path.write_text("".join(self.kept))
        self.settings = chosen

    @rule(chosen=SETTINGS)
    def a_plain_call_starts_afresh(self, chosen: dict[str, Any]) -> None:
        assert self.journal.begin(chosen, options())
        assert not self.journal.path.exists()
        self.kept = []
        self._cut_short(chosen)

    @rule(chosen=SETTINGS)
    def a_resumed_call_goes_on_or_names_what_differs(self, chosen: dict[str, Any]) -> None:
        if self.settings is None or self.settings == chosen:
            assert self.journal.begin(chosen, options(resume=True))
            self._cut_short(chosen)
            return
        assert self.settings is not None
        (first, *_) = [name for name in chosen if chosen[name] != self.settings[name]]
        with pytest.raises(UsageError, match=f"had {first} {self.settings[first]}, this one has {chosen[first]}"):
            self.journal.begin(chosen, options(resume=True))

    @rule(chosen=SETTINGS)
    def force_starts_afresh_whatever_was_there(self, chosen: dict[str, Any]) -> None:
        assert self.journal.begin(chosen, options(resume=True, force=True))
        assert not self.journal.path.exists()
        self.kept = []
        self._cut_short(chosen)

    @rule()
    def a_call_that_ends_well_forgets_it_all(self) -> None:
        self.journal.remove()
        self.kept, self.settings = [], None

    @invariant()
    def nothing_kept_is_lost(self) -> None:
        if not hasattr(self, "journal"):
            return
        found = self.journal.path.read_text() if self.journal.path.exists() else ""
        assert found == "".join(self.kept)
        if self.settings is not None:
            assert json.loads(self.journal.path.with_suffix(".json").read_text()) == self.settings

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()


Calls.TestCase.settings = settings(max_examples=25, stateful_step_count=12)
TestCalls = Calls.TestCase


@given(st.binary(max_size=30))
def test_damaged_settings_are_refused_by_name(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal: Journal = journal_of(Path(folder), "ci", Path("o.csv"))
        journal.begin({"method": "midp"}, options())
        journal.path.write_text("finished")
        journal.path.with_suffix(".json").write_bytes(data)
        with pytest.raises(UsageError, match=r"is damaged; use --force|had method None"):
            journal.begin({"method": "midp"}, options(resume=True))
        assert journal.path.read_text() == "finished"
        assert journal.begin({"method": "midp"}, options(force=True))


@given(st.text(st.characters(codec="utf-8", exclude_characters="/\x00"), min_size=1, max_size=20))
def test_every_output_has_a_journal_of_its_own(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        one = journal_of(Path(folder), "ci", Path(folder, "x"))
        two = journal_of(Path(folder), "ci", Path(folder, f"x{name}"))
        assert one.path != two.path
        assert one.path.parent == two.path.parent == Path(folder, "journals")
        for journal in (one, two):
            assert journal.begin({}, options())
            journal.path.write_text(journal.path.name)
        one.remove()
        assert not one.path.exists()
        assert two.path.read_text() == two.path.name
