"""`resume=`: nothing finished is done twice, wherever items run; another function or seed is refused."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import pytest

import fanwise
from fanwise.errors import UsageError

pytestmark = pytest.mark.process

PLACES: list[dict[str, Any]] = [
    {"workers": 1},
    {"backend": "auto"},
    {"backend": "thread", "workers": 2},
    {"backend": "process", "workers": 2},
]
everywhere = pytest.mark.parametrize("place", PLACES, ids=lambda place: "-".join(map(str, place.values())))


def note_and_square(item: int) -> int:
    """Leave a mark in the folder of the environment, so that runs in any process can be counted."""
    with open(os.path.join(os.environ["FANWISE_TEST_MARKS"], f"{item}-{os.getpid()}-{os.urandom(4).hex()}"), "x"):
        return item * item


@pytest.fixture
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "marks"
    folder.mkdir()
    monkeypatch.setenv("FANWISE_TEST_MARKS", str(folder))
    return folder


def runs(marks: Path) -> int:
    return len(list(marks.iterdir()))


@everywhere
class TestResume:
    def test_a_finished_journal_answers_everything(self, place: dict[str, Any], marks: Path, tmp_path: Path) -> None:
        first = fanwise.map(note_and_square, range(30), resume=tmp_path / "j", **place)
        assert runs(marks) == 30
        run = fanwise.run(note_and_square, range(30), resume=tmp_path / "j", **place)
        assert run.values() == first == [x * x for x in range(30)]
        assert runs(marks) == 30
        assert run.report.resumed == 30

    def test_a_changed_input_reuses_what_is_unchanged(self, place: dict[str, Any], marks: Path, tmp_path: Path) -> None:
        fanwise.map(note_and_square, range(20), resume=tmp_path / "j", **place)
        changed = [5, 99, *range(10, 20), 100]
        assert fanwise.map(note_and_square, changed, resume=tmp_path / "j", **place) == [x * x for x in changed]
        assert runs(marks) == 22

    def test_any_iterable_can_be_resumed(self, place: dict[str, Any], marks: Path, tmp_path: Path) -> None:
        fanwise.map(note_and_square, range(10), resume=tmp_path / "j", **place)
        again = fanwise.map(note_and_square, iter(range(15)), resume=tmp_path / "j", **place)
        assert again == [x * x for x in range(15)]
        assert runs(marks) == 15

    def test_a_cut_journal_goes_on_behind_its_last_whole_record(
        self, place: dict[str, Any], marks: Path, tmp_path: Path
    ) -> None:
        fanwise.map(note_and_square, range(12), resume=tmp_path / "j", **place)
        size = (tmp_path / "j").stat().st_size
        os.truncate(tmp_path / "j", size - 7)
        assert fanwise.map(note_and_square, range(12), resume=tmp_path / "j", **place) == [x * x for x in range(12)]
        assert runs(marks) == 13

    def test_failures_are_tried_again(self, place: dict[str, Any], tmp_path: Path) -> None:
        run = fanwise.run(reciprocal, [1, 0, 2], resume=tmp_path / "j", **place)
        again = fanwise.run(reciprocal, [1, 0, 2], resume=tmp_path / "j", **place)
        assert [o.ok for o in run.outcomes] == [o.ok for o in again.outcomes] == [True, False, True]
        assert again.report.resumed == 2

    def test_a_stream_resumes_too(self, place: dict[str, Any], marks: Path, tmp_path: Path) -> None:
        stream = fanwise.stream(note_and_square, itertools.count(), resume=tmp_path / "j", lookahead=8, **place)
        assert [next(stream) for _ in range(6)] == [x * x for x in range(6)]
        stream.close()
        before = runs(marks)
        assert list(fanwise.stream(note_and_square, range(6), resume=tmp_path / "j", **place)) == [
            x * x for x in range(6)
        ]
        assert runs(marks) == before


def reciprocal(item: int) -> float:
    return 1 / item


def draw(item: int, rng: Any) -> float:
    return float(rng.random())


def test_with_a_seed_an_item_at_another_place_is_another_item(tmp_path: Path) -> None:
    first = fanwise.map(draw, [1, 1, 1], seed=3, resume=tmp_path / "j", workers=1)
    assert len(set(first)) == 3
    assert fanwise.map(draw, [1, 1, 1], seed=3, resume=tmp_path / "j", workers=1) == first


@pytest.mark.parametrize(("fn", "options"), [(abs, {}), (draw, {"seed": 4})])
def test_another_function_or_seed_is_refused_before_anything_runs(
    tmp_path: Path, fn: Any, options: dict[str, Any]
) -> None:
    fanwise.map(draw, [1], seed=3, resume=tmp_path / "j", workers=1)
    with pytest.raises(UsageError, match=r"was written by draw .*; you call"):
        fanwise.map(fn, [1], resume=tmp_path / "j", workers=1, **options)


def test_a_changed_constant_in_the_function_is_another_function(tmp_path: Path) -> None:
    fanwise.map(lambda x: x + 1, [1], resume=tmp_path / "j")
    with pytest.raises(UsageError, match="was written by"):
        fanwise.map(lambda x: x + 2, [1], resume=tmp_path / "j")
