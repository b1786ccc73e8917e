"""What a search keeps of its chunks: cuts, counts, near misses, blocks of rows, and the trip as bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.workloads.modelsearch._cascade import Assessment, merge_nearest, merged
from fanwise.workloads.modelsearch._chunks import Cut, Finished, read_back, to_bytes
from fanwise.workloads.modelsearch._config import Rank
from fanwise.workloads.modelsearch._filters import FILTERS
from fanwise.workloads.modelsearch._multiplicity import Maxima
from fanwise.workloads.modelsearch._screen import NEAREST
from fanwise.workloads.modelsearch._tally import Tally, blocks, ranked
from fanwise.workloads.modelsearch._verdicts import VerdictTable, no_rows

MEASURES = ("r2", "adj_r2", "in_max", "in_mean", "rmse", "out_max", "out_mean", "oos_rmse")


def rows(*ids: int) -> VerdictTable:
    """Rows that passed, with numbers that follow from their ids."""
    wanted = np.array(ids, dtype=np.int64)
    measures = {name: np.cos(wanted * (at + 1.0)) for at, name in enumerate(MEASURES)}
    return VerdictTable(
        {"id": wanted, "indices": np.column_stack([wanted, wanted + 1]), "bic": -wanted % 7.0, **measures}
    )


def assessment(table: VerdictTable | None = None, **more: object) -> Assessment:
    made = Assessment(
        tried=10,
        fell=(1, *[0] * (len(FILTERS) - 1)),
        table=VerdictTable({}) if table is None else table,
        nearest=np.empty((0, 3)),
        best=None,
        redone=2,
        failed=np.zeros(10, dtype=np.int8),
    )
    return replace(made, **more)


class TestCut:
    @given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 90))
    def test_chunks_are_all_ids_once_in_order(self, first: int, stop: int, size: int) -> None:
        cut = Cut(first, stop, size)
        ids = [i for chunk in cut.chunks() for i in range(*cut.bounds(chunk))]
        assert ids == list(range(first, stop))
        assert all(cut.bounds(chunk)[0] < cut.bounds(chunk)[1] for chunk in cut.chunks())

    @given(st.integers(0, 300), st.integers(1, 300), st.integers(0, 300), st.integers(1, 60))
    def test_two_searches_of_overlapping_ids_share_their_inner_chunks(
        self, first: int, many: int, other: int, size: int
    ) -> None:
        one, two = Cut(first, first + many, size), Cut(other, other + many, size)
        for chunk in set(one.chunks()) & set(two.chunks()):
            edges = one.bounds(chunk), two.bounds(chunk)
            whole = [low == chunk * size and high == (chunk + 1) * size for low, high in edges]
            assert edges[0] == edges[1] or not all(whole)


class TestTally:
    def test_counts_add_up_by_filter(self) -> None:
        tally = Tally()
        for _ in range(3):
            tally.add(Finished(assessment(rows(4, 5))))
        assert (tally.tried, tally.passed, tally.redone) == (30, 6, 6)
        assert tally.funnel == {name: 3 if name == "rank" else 0 for name in FILTERS}
        assert tally.used == {4, 5, 6}

    def test_only_what_was_computed_now_was_somebodys_work(self) -> None:
        tally = Tally()
        tally.add(Finished(assessment(), seconds=2.0, cpu=1.5, worker=7))
        tally.add(Finished(assessment(), seconds=4.0, cpu=3.0, worker=7), now=False)
        assert (dict(tally.busy), dict(tally.cpu), tally.tried) == ({7: 2.0}, {7: 1.5}, 20)

    def test_items_built_by_several_are_known_with_all_their_digests(self) -> None:
        tally = Tally()
        tally.add(Finished(assessment(), worker=1, built={3: "a", 4: "b"}))
        tally.add(Finished(assessment(), worker=2, built={3: "a", 4: "c"}))
        assert dict(tally.built) == {3: {"a"}, 4: {"b", "c"}}
        assert dict(tally.builders) == {3: {1, 2}, 4: {1, 2}}

    @given(st.permutations(range(4)))
    def test_maxima_and_extents_do_not_depend_on_the_order(self, order: list[int]) -> None:
        parts = [assessment(rows(at, at + 9), best=Maxima(float(-at), np.arange(3.0) * (at - 1))) for at in range(4)]
        tally = Tally()
        for at in order:
            tally.add(Finished(parts[at]))
        every = rows(*range(4), *range(9, 13))
        assert tally.best.observed == 0.0
        np.testing.assert_array_equal(tally.best.bootstrap, [0.0, 2.0, 4.0])
        assert tally.spread == {name: (every[name].min(), every[name].max()) for name in MEASURES}

    def test_a_search_in_which_nothing_passed_has_no_ranking(self) -> None:
        table, keys = ranked(no_rows(), Tally(), Rank())
        assert (len(table), len(keys)) == (0, 0)

    @given(st.lists(st.integers(0, 200), min_size=1, max_size=30, unique=True), st.sampled_from(["bic", "r2"]))
    def test_ranked_rows_are_sorted_best_first_and_ties_by_id(self, ids: list[int], by: str) -> None:
        tally = Tally()
        tally.add(Finished(assessment(rows(*ids))))
        table, keys = ranked(rows(*ids), tally, Rank(by=by))
        assert sorted(table["id"].tolist()) == sorted(ids)
        order = list(zip(keys.tolist(), table["id"].tolist(), strict=True))
        assert order == sorted(order)
        assert set(table.columns) == {*rows(1).columns, "composite"}


class TestBlocks:
    @given(st.lists(st.integers(0, 5), max_size=12), st.integers(1, 12))
    def test_no_row_is_lost_and_every_block_but_the_last_is_full(self, sizes: list[int], size: int) -> None:
        ids, chunks = iter(range(1000)), []
        for many in sizes:
            chunks.append(Finished(assessment(rows(*(next(ids) for _ in range(many))))))
        found = [block["id"].tolist() for block in blocks(chunks, size)]
        assert [i for block in found for i in block] == list(range(sum(sizes)))
        assert all(len(block) >= size for block in found[:-1])
        assert all(found)


class TestNearest:
    MISSES = st.lists(
        st.tuples(st.integers(0, 10), st.sampled_from([0.1, 0.2, 0.5]), st.integers(0, 10**6)),
        max_size=150,
        unique=True,
    )

    @given(MISSES, st.integers(0, 150))
    def test_near_misses_of_parts_are_those_of_the_whole(self, misses: list[tuple[int, float, int]], cut: int) -> None:
        every = np.array(misses, dtype=np.float64).reshape(-1, 3)
        expected = sorted(misses, key=lambda miss: (-miss[0], miss[1], miss[2]))[:NEAREST]
        halves = [merge_nearest([every[:cut]]), merge_nearest([every[cut:]])]
        assert [tuple(miss) for miss in merge_nearest(halves).tolist()] == expected

    def test_none_are_none(self) -> None:
        assert merge_nearest([]).shape == (0, 3)


def test_assessments_merge_into_one_without_rows_of_nobody() -> None:
    whole = merged([assessment(), assessment(rows(3), used=np.array([3, 4])), assessment(rows(9), used=np.array([4]))])
    assert (whole.tried, whole.redone, whole.fell[0], len(whole.failed)) == (30, 6, 3, 30)
    assert whole.table["id"].tolist() == [3, 9]
    assert whole.used.tolist() == [3, 4]


def test_nothing_merged_is_an_empty_assessment() -> None:
    nothing = merged([])
    assert (nothing.tried, nothing.fell, len(nothing.table), nothing.best) == (0, (0,) * len(FILTERS), 0, None)


@given(
    st.lists(st.integers(0, 10**9), max_size=5, unique=True),
    st.one_of(st.none(), st.floats(allow_nan=False)),
    st.binary(max_size=50),
    st.dictionaries(st.integers(0, 99), st.text("0123456789abcdef", min_size=32, max_size=32), max_size=3),
)
def test_a_finished_chunk_survives_as_bytes(ids: list[int], best: float | None, text: bytes, built: dict[int, str]):
    maxima = None if best is None else Maxima(best, np.array([best, 0.0]))
    sent = Finished(assessment(rows(*ids), best=maxima), text, 1.5, 0.25, 4711, built)
    back = read_back(to_bytes(sent))
    assert (back.text, back.seconds, back.cpu, back.worker, back.built) == (text, 1.5, 0.25, 4711, built)
    assert (back.assessment.tried, back.assessment.fell) == (10, sent.assessment.fell)
    for name, column in sent.assessment.table.columns.items():
        assert back.assessment.table[name].tobytes() == column.tobytes()
    if maxima is None:
        assert back.assessment.best is None
    else:
        assert (back.assessment.best.observed, back.assessment.best.bootstrap.tolist()) == (best, [best, 0.0])


@pytest.mark.parametrize("damage", [b"", b"PK", b"not an archive at all"])
def test_what_is_no_archive_is_no_chunk(damage: bytes) -> None:
    with pytest.raises((ValueError, EOFError)):
        read_back(damage)
