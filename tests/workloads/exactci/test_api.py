"""`interval` and `intervals` as a caller sees them."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys

import numpy as np
import pytest

import fanwise
from fanwise.errors import InputError, UsageError
from fanwise.workloads.exactci import METHODS, Interval, Intervals, Status, interval, intervals

TABLES = [(4, 119, 11, 128), (6, 300, 29, 274), (0, 5, 4, 6), (5, 0, 3, 4), (0, 0, 3, 4), (3, 10, 30, 23)]


@pytest.mark.parametrize("method", METHODS)
def test_one_table_alone_is_the_same_as_among_others(method: str) -> None:
    tables = [t for t in TABLES if sum(t) < 200] if method == "unconditional" else TABLES
    many = intervals(tables, method=method, progress="none")
    assert len(many) == len(tables)
    for i, table in enumerate(tables):
        assert many[i] == interval(*table, method=method)
        assert hash(many[i]) == hash(interval(*table, method=method))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("backend", ["serial", "thread", "auto"])
def test_workers_and_backends_do_not_change_a_bit(workers: int, backend: str) -> None:
    if backend == "serial" and workers > 1:
        pytest.skip("one process has one worker")
    tables = np.random.default_rng(5).integers(0, 400, (6000, 4))
    plain = intervals(tables, method="blaker", workers=1, progress="none")
    other = intervals(tables, method="blaker", workers=workers, backend=backend, progress="none")
    for name in ("lower", "upper", "p_value", "estimate", "odds_ratio", "status"):
        assert getattr(plain, name).tobytes() == getattr(other, name).tobytes()


@pytest.mark.process
def test_a_warm_pool_gives_the_same_bits() -> None:
    tables = np.random.default_rng(6).integers(0, 400, (6000, 4))
    with fanwise.Executor(2) as pool:
        one, two = (intervals(tables, executor=pool, progress="none") for _ in range(2))
    assert one.upper.tobytes() == two.upper.tobytes() == intervals(tables, workers=1, progress="none").upper.tobytes()


def test_fifteen_thousand_real_sized_tables_start_no_worker() -> None:
    """As many as four sets of adverse-event reports make: 0.05 s of work, however slow the machine is just now."""
    rng = np.random.default_rng(1)
    tables = np.stack([rng.poisson(3, 15_000), *rng.integers(1000, 10**7, (3, 15_000))], axis=1)
    done = intervals(tables, progress="none")
    assert done.report is not None
    assert len(json.loads(done.report.to_json())["workers"]) == 1


def test_equal_tables_share_one_item_where_they_cost_milliseconds() -> None:
    done = intervals([(3, 1, 1, 3), (2, 1, 1, 2), (3, 1, 1, 3)], method="unconditional", progress="none")
    assert done.report is not None
    assert done.report.items == 2
    assert done[0] == done[2] != done[1]


def test_order_of_rows_is_order_of_results() -> None:
    tables = np.random.default_rng(7).integers(0, 50, (500, 4))
    order = np.random.default_rng(8).permutation(500)
    straight, shuffled = intervals(tables, progress="none"), intervals(tables[order], progress="none")
    assert shuffled.lower.tobytes() == straight.lower[order].tobytes()


def test_fifty_small_tables_start_no_worker() -> None:
    """The case that was two to five times slower in parallel."""
    done = intervals(np.random.default_rng(1).integers(1, 40, (50, 4)), progress="none")
    assert done.report is not None
    assert [lane["lane"] for lane in json.loads(done.report.to_json())["workers"]] == [0]


def test_bad_rows_have_a_status_and_no_numbers() -> None:
    done = intervals([[1, 2, 3, 4], [1, -1, 3, 4], [1, None, 3, 4], [0, 0, 1, 1]], progress="none")
    assert done.status.tolist() == [Status.OK, Status.NEGATIVE, Status.MISSING, Status.EMPTY_MARGIN]
    for name in ("lower", "upper", "p_value", "estimate", "odds_ratio"):
        assert np.isnan(getattr(done, name)[1:3]).all()
    assert done[1].status is Status.NEGATIVE
    assert done[3].upper == math.inf


def test_strict_raises_at_the_first_bad_row() -> None:
    with pytest.raises(InputError, match=r"row 1: cell b is -1; expected a whole number from 0 to 1,000,000,000"):
        intervals([[1, 2, 3, 4], [1, -1, 3, 4], [1, 2, 3, "x"]], strict=True, progress="none")


def test_a_bad_count_of_one_table_raises() -> None:
    with pytest.raises(InputError, match=r"cell d is 2\.5"):
        interval(1, 2, 3, 2.5)
    with pytest.raises(InputError, match="too large for unconditional"):
        interval(300, 300, 300, 300, method="unconditional")


def test_too_many_tables_for_unconditional_is_a_status() -> None:
    done = intervals([(300, 300, 300, 300), (3, 1, 1, 3)], method="unconditional", progress="none")
    assert done.status.tolist() == [Status.TOO_LARGE, Status.OK]
    assert math.isnan(done.lower[0])


def test_nothing_in_nothing_out() -> None:
    done = intervals([], progress="none")
    assert len(done) == 0
    assert done.lower.dtype == np.float64
    assert done.status.dtype == np.uint8


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"method": "blakr"}, "did you mean 'blaker'"),
        ({"alpha": 0.0}, "between 0 and 1"),
        ({"alpha": 1}, "between 0 and 1"),
        ({"alpha": math.nan}, "between 0 and 1"),
        ({"alpha": "x"}, "between 0 and 1"),
        ({"alpha": 1e-300}, "smallest"),
        ({"alternative": "more"}, "alternative 'more' is unknown"),
        ({"alternative": "less", "method": "blaker"}, "conditional, midp, wald"),
        ({"alternative": "greater", "alpha": 0.5}, "below 0.5"),
    ],
)
def test_a_wrong_question_is_a_usage_error(wrong: dict[str, object], words: str) -> None:
    for ask in (lambda: interval(1, 2, 3, 4, **wrong), lambda: intervals([[1, 2, 3, 4]], **wrong)):
        with pytest.raises(UsageError, match=words):
            ask()


def test_records_are_frozen() -> None:
    one, many = interval(1, 2, 3, 4), intervals([[1, 2, 3, 4]], progress="none")
    for record in (one, many):
        with pytest.raises(dataclasses.FrozenInstanceError):
            record.lower = 0.0
    assert isinstance(one, Interval)
    assert isinstance(many, Intervals)
    assert one != "something else"


def test_importing_the_package_imports_neither_numpy_nor_numba() -> None:
    code = "import fanwise.workloads.exactci, sys; print([m for m in ('numpy', 'numba') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    import fanwise.workloads.exactci as package

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing


def test_data_frames_and_generators_of_rows_are_tables() -> None:
    import pandas as pd
    import polars as pl

    wanted = intervals(TABLES, progress="none")
    frame = pd.DataFrame(TABLES, columns=list("abcd"))
    for tables in (
        frame,
        frame.astype("Int64"),
        pl.DataFrame(TABLES, schema=list("abcd"), orient="row"),
        np.array(TABLES),
    ):
        assert intervals(tables, progress="none").lower.tobytes() == wanted.lower.tobytes()
    frame = frame.astype("float64")
    frame.loc[1, "b"] = np.nan
    assert intervals(frame, progress="none").status[1] == Status.MISSING


def test_text_is_read_as_in_a_file() -> None:
    done = intervals(
        [["4", " 119 ", "11.0", "1e2"], ["4", "NA", "11", "128"], ["4", "x", "11", "128"]], progress="none"
    )
    assert done.status.tolist() == [Status.OK, Status.MISSING, Status.NOT_A_NUMBER]
    assert done[0] == interval(4, 119, 11, 100)


def test_threads_may_ask_at_the_same_time() -> None:
    from concurrent.futures import ThreadPoolExecutor

    wanted = [interval(*table, method=method) for method in METHODS[:4] for table in TABLES]
    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(interval, *table, method=method) for method in METHODS[:4] for table in TABLES]
        assert [future.result() for future in found] == wanted


def test_records_can_be_copied_and_sent() -> None:
    import copy
    import pickle

    one = interval(0, 0, 3, 4)
    assert pickle.loads(pickle.dumps(one)) == one == copy.deepcopy(one)
    many = intervals(TABLES, progress="none")
    sent = pickle.loads(pickle.dumps(dataclasses.replace(many, report=None)))
    assert sent.upper.tobytes() == many.upper.tobytes()
    assert "report" not in repr(many)


def test_rows_can_be_taken_from_the_end_and_run_out() -> None:
    done = intervals(TABLES, progress="none")
    assert done[-1] == done[len(done) - 1]
    with pytest.raises(IndexError):
        done[len(TABLES)]
    assert [one.status for one in done] == [Status(s) for s in done.status.tolist()]


def test_the_question_may_be_asked_with_numpy_scalars() -> None:
    assert interval(np.int64(4), np.int32(119), 11.0, 128, alpha=np.float64(0.05)) == interval(4, 119, 11, 128)
    assert type(interval(4, 119, 11, 128, alpha=np.float32(0.5)).alpha) is float


def test_small_work_says_that_it_is_small_and_asked_for_work_that_it_was_asked_for() -> None:
    tables = [[4, 119, 11, 128], [6, 300, 29, 274]]
    small = intervals(tables, progress="none").report
    asked = intervals(tables, progress="none", workers=1).report
    assert small is not None
    assert asked is not None
    assert small.reason.startswith("Ran in this process: less than 0.25 s of work was expected")
    assert asked.reason == "Ran in this process because workers=1."
