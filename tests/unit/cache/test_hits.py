"""The second-chance bits: a hint, kept where it can be and lost without a word."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.cache._directory import Directory
from fanwise.cache._hits import Hits

SLOTS = 64


@pytest.fixture
def hits(directory: Directory) -> Iterator[Hits]:
    hits = Hits.open(directory, SLOTS)
    assert hits is not None
    with closing(hits):
        yield hits


def marked(hits: Hits) -> set[int]:
    return {place for place in range(len(hits.data)) if hits.is_marked(place)}


def test_nothing_is_marked_at_first(hits: Hits) -> None:
    assert marked(hits) == set()


@given(steps=st.lists(st.tuples(st.sampled_from(["mark", "clear"]), st.integers(0, SLOTS - 1)), max_size=40))
def test_bits_are_a_set_that_every_opener_sees(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    model: set[int] = set()
    path = str(tmp_path_factory.mktemp("hits"))
    with closing(Directory.at(path, given=True, label="d")) as directory:
        one, two = Hits.open(directory, SLOTS), Hits.open(directory, SLOTS)
        assert one is not None
        assert two is not None
        with closing(one), closing(two):
            for verb, place in steps:
                getattr(one, verb)(place)
                (model.add if verb == "mark" else model.discard)(place)
            assert marked(one) == marked(two) == model


def test_a_mark_that_is_there_is_not_written_again(hits: Hits, monkeypatch: pytest.MonkeyPatch) -> None:
    hits.mark(3)
    writes: list[object] = []
    monkeypatch.setattr(os, "pwrite", lambda *args: writes.append(args))
    hits.mark(3)
    hits.clear(4)
    assert writes == []


def test_a_reset_forgets_all(hits: Hits) -> None:
    for place in (0, 17, SLOTS - 1):
        hits.mark(place)
    hits.reset()
    assert marked(hits) == set()


def test_a_larger_index_makes_the_file_larger_and_a_smaller_one_leaves_it(
    hits: Hits, directory: Directory, place: Path
) -> None:
    hits.mark(5)
    for slots in (4 * SLOTS, 16):
        other = Hits.open(directory, slots)
        assert other is not None
        with closing(other):
            assert other.is_marked(5)
            assert len(other.data) == slots
    assert (place / "hits").stat().st_size == 4 * SLOTS


def test_a_full_disk_costs_the_hint_only(hits: Hits, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    hits.mark(1)
    monkeypatch.setattr(os, "pwrite", full)
    hits.mark(2)
    hits.clear(1)
    hits.reset()
    assert marked(hits) == {1}


@pytest.mark.parametrize("call", ["ftruncate", "open"])
def test_where_they_cannot_be_written_there_are_none(
    directory: Directory, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, call, refuse)
    assert Hits.open(directory, SLOTS) is None


def test_bits_outlive_a_closed_descriptor(directory: Directory) -> None:
    hits = Hits.open(directory, SLOTS)
    assert hits is not None
    hits.mark(9)
    hits.close()
    hits.close()
    assert hits.is_marked(9)
