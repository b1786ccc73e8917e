"""CPython's own tests of process pools, run with `fanwise.Executor` in the place of the standard one.

They are taken from the installed standard library, where Python comes with its ``test`` package (3.11: one module).
Left out is what asserts that one dead worker breaks the pool, or looks at private attributes of the standard class.
"""

from __future__ import annotations

import importlib
import os
import sys
import unittest
from collections.abc import Iterator
from types import ModuleType

import pytest

import fanwise

HOMES = ("test.test_concurrent_futures", "test_concurrent_futures")
LEFT_OUT = {
    # one dead worker costs its own future here, not the pool
    *("test_killed_child", "test_crash_at_task_unpickle", "test_crash_during_func_exec_on_worker"),
    *("test_crash_during_result_pickle_on_worker", "test_shutdown_deadlock", "test_exit_at_task_unpickle"),
    # a thing that cannot be loaded costs its own future too
    *("test_error_at_task_unpickle", "test_error_during_result_unpickle_in_result_handler"),
    "test_exit_during_result_unpickle_in_result_handler",
    # private attributes
    *("test_idle_process_reuse_multiple", "test_idle_process_reuse_one", "test_saturation", "test_processes_terminate"),
    *("test_shutdown_deadlock_pickle", "test_max_tasks_per_child"),
    "test_max_tasks_per_child_defaults_to_spawn_context",
    # the standard class itself, by name
    *("test_context_manager_shutdown", "test_del_shutdown", "test_shutdown_no_wait"),
}
WITHOUT = ("FailingInitializer",)  # `Executor._broken`; and a queue cannot be sent to workers that were not inherited


def standard() -> ModuleType | None:
    for home in HOMES:
        try:
            return importlib.import_module(home)
        except ModuleNotFoundError:
            continue
    return None


MODULE = standard()


def cases() -> list[unittest.TestCase]:
    found = []
    for name, kind in sorted(vars(MODULE).items()) if MODULE is not None else ():
        if not (name.startswith("ProcessPool") and isinstance(kind, type) and issubclass(kind, unittest.TestCase)):
            continue
        if any(part in name for part in WITHOUT):
            continue
        ours = type(name, (kind,), {"executor_type": fanwise.Executor, "__module__": kind.__module__})
        names = unittest.defaultTestLoader.getTestCaseNames(ours)
        found += [ours(method) for method in names if method not in LEFT_OUT]
    return found


@pytest.fixture(autouse=True)
def programs_import_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of what happens at the end of a program have it as text, one without an import that it needs."""
    if MODULE is None:
        return
    run = MODULE.assert_python_ok
    home = MODULE.__name__

    def run_with_ours(*args: str, **options: str) -> object:
        places = {
            "from concurrent.futures import": "import multiprocessing; from fanwise import",
            "test.test_concurrent_futures": home,
        }
        for old, new in places.items():
            args = tuple(text.replace(old, new) for text in args)
        return run(*args, __isolated=False, PYTHONPATH=os.pathsep.join(filter(None, sys.path)), **options)

    monkeypatch.setattr(MODULE, "assert_python_ok", run_with_ours)


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """These tests look after their own threads and children, and keep the servers that multiprocessing starts."""
    yield
    if "fanwise.backends.process._forkserver" in sys.modules:
        sys.modules["fanwise.backends.process._forkserver"].shared.stop()


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not hasattr(MODULE, "ExecutorMixin"), reason="CPython's tests are not installed, or not as in 3.11")
@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{type(case).__name__}.{case._testMethodName}")
def test_the_standard_library_s_test_passes(case: unittest.TestCase) -> None:
    result = unittest.TestResult()
    case.run(result)
    assert not result.errors + result.failures, "".join(text for _, text in result.errors + result.failures)
