"""One file in a worker, the display of a run, and an interrupt between search and outputs."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fanwise.workloads import auditscan
from fanwise.workloads.auditscan import Rule, RuleSet, io
from fanwise.workloads.auditscan._examine import Reading
from fanwise.workloads.auditscan._progress import Part
from fanwise.workloads.auditscan._session import ScanInterrupted, Session, identity_of
from fanwise.workloads.auditscan.study import ScanFile, problems

RULES = RuleSet((Rule("r", "root"),), digest="d")
LINUX = b"KPNIXVERSION: 0.6.22\nroot\n"


class TestScanFile:
    def test_travels_without_what_it_has_compiled(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(LINUX)
        work = ScanFile(RULES, Reading())
        first = work(str(tmp_path / "a"))
        copy = pickle.loads(pickle.dumps(work))
        assert "searcher" not in copy.__dict__
        assert copy(str(tmp_path / "a")) == first
        assert first.blocks[0].rows == 1

    def test_a_file_that_vanished_fails(self, tmp_path: Path) -> None:
        spooled = ScanFile(RULES, Reading())(str(tmp_path / "gone"))
        assert (spooled.status, spooled.reason) == ("failed", "no such file or directory")

    def test_a_file_cut_short_is_searched_as_far_as_it_goes(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(LINUX[:-3])
        spooled = ScanFile(RULES, Reading())(str(tmp_path / "a"))
        assert (spooled.status, spooled.blocks[0].rows) == ("done", 0)


@dataclass(frozen=True)
class Chunk:
    """An event with items."""

    first: int
    count: int
    ok: int = 0


@dataclass(frozen=True)
class Sent:
    """An event with items and no outcome."""

    first: int
    count: int


class Heard:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def start(self, total: int | None, label: str) -> None:
        self.told.append((total, label))

    def on(self, event: Any) -> None:
        self.told.append(event)

    def tick(self, at: float) -> None:
        self.told.append(at)

    def finish(self, report: Any) -> None:
        self.told.append(report)


class TestPart:
    def test_counts_in_weights(self) -> None:
        heard = Heard()
        part = Part(heard, "Searching", [100, 50, 7])
        part.start(3, "ScanFile")
        part.on(Sent(1, 2))
        part.on(Chunk(0, 2, ok=1))
        part.on("something else")
        part.tick(1.5)
        part.finish("the report")
        assert heard.told == [
            (157, "Searching"), Sent(100, 57), Chunk(0, 150, ok=75), "something else", 1.5, "the report",
        ]  # fmt: skip

    def test_items_without_weight_are_nothing(self) -> None:
        heard = Heard()
        Part(heard, "Searching", [0, 0]).on(Chunk(0, 2, ok=2))
        assert heard.told == [Chunk(0, 0, ok=0)]


class TestSession:
    def session(self, tmp_path: Path, count: int = 2) -> Session:
        for number in range(count):
            (tmp_path / f"{number}.txt").write_bytes(LINUX * (number + 1))
        reading = Reading()
        identity = identity_of(RULES, reading, "1.0")
        return Session(io.find_sources([tmp_path]), RULES, reading, io.Journal(None, identity))

    def outcome(self, **values: Any) -> Any:
        return SimpleNamespace(**{"ok": True, "value": None, "error": None, **values})

    def test_the_largest_file_comes_first(self, tmp_path: Path) -> None:
        assert self.session(tmp_path, 3).pending() == [2, 1, 0]

    def test_an_interrupt_carries_what_is_finished(self, tmp_path: Path) -> None:
        session = self.session(tmp_path)
        spooled = ScanFile(RULES, Reading())(session.sources[0].path)
        session.keep(0, self.outcome(value=spooled))
        stop = session.interrupted(SimpleNamespace(run="the run", signal=15))
        assert isinstance(stop, ScanInterrupted)
        assert isinstance(stop, KeyboardInterrupt)
        assert (stop.run, stop.signal, str(stop)) == ("the run", 15, "1 of 2 files are kept.")
        assert [file.status for file in stop.result.files] == ["done", "unfinished"]
        assert stop.result.partial

    def test_an_outcome_that_comes_twice_counts_once(self, tmp_path: Path) -> None:
        session = self.session(tmp_path)
        spooled = ScanFile(RULES, Reading())(session.sources[0].path)
        session.keep(0, self.outcome(value=spooled))
        session.keep(0, self.outcome(value=replace(spooled, status="failed")))
        assert session.result().files[0].status == "done"

    @pytest.mark.parametrize(
        ("outcome", "reason"),
        [
            ({"reason": "SIGKILL", "error": RuntimeError()}, "worker lost: SIGKILL"),
            ({"error": MemoryError()}, "worker lost: out of memory"),
            ({"error": ValueError("odd")}, "ValueError: odd"),
        ],
    )
    def test_a_file_without_a_result_says_why(self, tmp_path: Path, outcome: dict, reason: str) -> None:
        session = self.session(tmp_path)
        session.keep(1, self.outcome(ok=False, **outcome))
        file = session.result().files[1]
        assert (file.status, file.reason) == ("failed", reason)
        assert list(problems(session.result())) == [f"1.txt: failed: {reason}"]


def test_public_names_are_there() -> None:
    for name in auditscan.__all__:
        assert hasattr(auditscan, name)
    assert auditscan.__all__ == sorted(auditscan.__all__)
