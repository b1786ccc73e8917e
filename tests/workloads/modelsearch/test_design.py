"""One test for each point of the design of a search by processes, from what a user can see."""

from __future__ import annotations

import doctest
import importlib
import json
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.workloads.modelsearch.test_search import GROUPS, LENIENT, contents, search
from tests.workloads.modelsearch.world import with_test, world

import fanwise
from fanwise.workloads import modelsearch
from fanwise.workloads.modelsearch import _blas, study
from fanwise.workloads.modelsearch._chunks import Cut, read_back
from fanwise.workloads.modelsearch._context import context_of, from_arrays, to_arrays

PURE = ("_items", "_space", "_gram", "_tests", "_filters", "_unitroot", "_ranking", "_multiplicity")
PACKAGE = Path(modelsearch.__file__).parent


@pytest.fixture
def lenient(tmp_path: Path) -> modelsearch.Config:
    return world(tmp_path, LENIENT, GROUPS)


@contextmanager
def task_of(config: modelsearch.Config) -> Iterator[study.ChunkTask]:
    context = context_of(config, modelsearch.prepare(config))
    with fanwise.freeze(to_arrays(context)) as bundle:
        yield study.ChunkTask(bundle, Cut(0, context.space.count(), 20), full=False)


@pytest.mark.slow
@pytest.mark.process
def test_0_processes_and_threads_give_the_same_bytes(tmp_path: Path, lenient: modelsearch.Config) -> None:
    for backend in ("process", "thread", "serial"):
        search(lenient, workers=None if backend == "serial" else 2, backend=backend, out=tmp_path / backend, full=True)
    assert contents(tmp_path / "process") == contents(tmp_path / "thread") == contents(tmp_path / "serial")


def test_1_items_are_built_once_by_the_coordinator_and_frozen(lenient: modelsearch.Config) -> None:
    frame = modelsearch.prepare(lenient)
    assert frame.pool is not None
    assert not frame.pool.flags.writeable
    with frame.freeze() as bundle, pytest.raises(ValueError, match="read-only"):
        bundle["X"][0, 0] = 0.0


def test_2_a_worker_is_sent_arrays_and_one_small_plain_object(lenient: modelsearch.Config) -> None:
    arrays = to_arrays(context_of(lenient, modelsearch.prepare(lenient)))
    plain = arrays.pop("plain")
    assert all(isinstance(value, np.ndarray) for value in arrays.values())
    assert len(pickle.dumps(plain)) < 20_000
    assert "whole.gram" in arrays


def test_3_the_context_of_a_worker_is_built_from_the_bundle_and_cannot_be_written(lenient: modelsearch.Config) -> None:
    own = context_of(lenient, modelsearch.prepare(lenient))
    with task_of(lenient) as sent:
        task = pickle.loads(pickle.dumps(sent))
        context = task.context
        assert context is task.context
        np.testing.assert_array_equal(context.whole.gram, own.whole.gram)
        assert context.space.count() == own.space.count()
        with pytest.raises(AttributeError):
            context.config = None
        with pytest.raises(ValueError, match="read-only"):
            context.whole.gram[0, 0] = 2.0


def test_4_a_chunk_returns_survivors_counts_maxima_and_its_times(lenient: modelsearch.Config) -> None:
    with task_of(lenient) as task:
        done = read_back(task(1))
    assert done.assessment.tried == 20
    assert sum(done.assessment.fell) + len(done.assessment.table) == 20
    assert done.assessment.best.bootstrap.shape == (50,)
    assert done.seconds > 0
    assert done.worker > 0


def test_5_results_are_merged_in_the_order_of_chunks_and_no_id_comes_twice(
    tmp_path: Path, lenient: modelsearch.Config
) -> None:
    search(lenient, workers=2, backend="thread", out=tmp_path / "out", full=True)
    ids = [
        int(line.split(",", 1)[0]) for line in (tmp_path / "out" / "verdicts.csv").read_text("utf-8").splitlines()[1:]
    ]
    assert ids == list(range(len(ids)))
    ranked = search(lenient).ranked["id"].tolist()
    assert len(set(ranked)) == len(ranked)


def test_6_items_are_made_again_by_recipe_and_compared_bit_for_bit(
    tmp_path: Path, lenient: modelsearch.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fanwise.workloads.modelsearch import _replay

    seen = []
    real = _replay.values
    monkeypatch.setattr(_replay, "values", lambda item, source: seen.append(str(item)) or real(item, source))
    result = search(lenient)
    used = {term for terms in result.ranked["terms"] for term in terms.split(";")}
    assert set(seen) == used


@pytest.mark.slow
@pytest.mark.process
def test_6_items_that_workers_build_themselves_are_the_same_in_every_process(tmp_path: Path) -> None:
    lazy = world(tmp_path, {**LENIENT, "run": {"prefetch": "lazy", "chunk": 20}}, GROUPS)
    search(lazy, out=tmp_path / "one", full=True)
    many = search(lazy, workers=2, backend="process", out=tmp_path / "many", full=True)
    assert contents(tmp_path / "one") == contents(tmp_path / "many")
    assert set(many.run["built"]) == {str(item) for item in modelsearch.prepare(lazy).items}
    assert max(many.run["built"].values()) <= 2


def test_7_nothing_is_left_but_the_results_and_the_chunks(tmp_path: Path, lenient: modelsearch.Config) -> None:
    search(lenient, out=tmp_path / "out")
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {"ranked.csv", "summary.json", "funnel.html", "run.json", ".chunks"}
    assert {path.name for path in (tmp_path / "out" / ".chunks").iterdir()} == {"manifest.json", "records"}


def test_8_the_run_says_who_did_how_much(tmp_path: Path, lenient: modelsearch.Config) -> None:
    search(lenient, out=tmp_path / "out")
    run = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))
    assert run.keys() >= {
        "chunks",
        "started",
        "ended",
        "seconds",
        "workers",
        "cpu_seconds",
        "busy",
        "specs_per_second",
        "qr_fallbacks",
        "phases",
    }
    assert run["specs_per_second"] > 0
    assert all(0 <= share <= 1.05 for share in run["busy"])


def imports_of(module: str) -> set[str]:
    text = (PACKAGE / f"{module}.py").read_text("utf-8")
    return set(re.findall(r"^(?:from|import) ([\w.]+)", text, re.MULTILINE))


@pytest.mark.parametrize("module", PURE)
def test_domain_modules_know_neither_files_nor_fanwise(module: str) -> None:
    allowed = {"fanwise.errors"}
    own = {name for name in imports_of(module) if name.startswith("fanwise.workloads.modelsearch")}
    foreign = imports_of(module) - own - allowed
    assert not {
        name for name in foreign if name.split(".")[0] in {"os", "io", "pathlib", "subprocess", "time", "fanwise"}
    }


def test_only_the_study_calls_fanwise() -> None:
    callers = {
        path.stem
        for path in PACKAGE.glob("*.py")
        if re.search(r"^import fanwise$", path.read_text("utf-8"), re.MULTILINE)
    }
    assert callers == {"study"}


def test_the_public_names_are_those_of_the_documentation() -> None:
    documented = {
        "Item",
        "parse_items",
        "load_config",
        "prepare",
        "Space",
        "evaluate",
        "why",
        "search",
        "verify",
        "forecast",
    }
    assert documented <= set(modelsearch.__all__)
    for name in modelsearch.__all__:
        assert getattr(modelsearch, name).__doc__


@pytest.mark.slow
@pytest.mark.parametrize("module", ["_answers", "_items", "_space", "_verdicts", "io", "study"])
def test_the_examples_in_the_documentation_of_functions_run(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"fanwise.workloads.modelsearch.{module}"))
    assert found.attempted > 0
    assert found.failed == 0


def test_blas_is_kept_to_one_thread_while_a_chunk_is_assessed_and_then_set_back(lenient: modelsearch.Config) -> None:
    switches = _blas._switches()
    assert _blas.can_limit() == bool(switches)
    before = [get() for get, _ in switches]
    with _blas.one_thread():
        with task_of(lenient) as task:
            task(0)
        assert {get() for get, _ in switches} <= {1}
    assert [get() for get, _ in switches] == before


def test_a_blas_without_a_switch_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        pass

    assert _blas._pair(Silent()) is None
    monkeypatch.setattr(_blas.os.path, "exists", lambda _: False)
    assert _blas._switches.__wrapped__() == ()


@pytest.mark.parametrize(
    "sections", [{}, with_test(), {"search": {"forced": ["season(4)"]}}, {"run": {"prefetch": "lazy"}}]
)
def test_a_context_comes_back_from_its_arrays_bit_for_bit(tmp_path: Path, sections: dict[str, Any]) -> None:
    config = world(tmp_path, sections, GROUPS)
    context = context_of(config, modelsearch.prepare(config), tried=7)
    back = from_arrays(pickle.loads(pickle.dumps(to_arrays(context))))
    assert back.tried == 7
    assert back.frame.X.tobytes() == context.frame.X.tobytes()
    assert (back.whole is None) == (context.whole is None)
    np.testing.assert_array_equal(back.base.pinv, context.base.pinv)
    assert [str(i) for i in back.frame.items] == [str(i) for i in context.frame.items]
