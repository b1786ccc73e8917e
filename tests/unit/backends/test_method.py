"""Which start method, and how many threads for linear algebra."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from tests.programs import plain_environment

from fanwise.backends.process import _blas, _method
from fanwise.backends.process._blas import copies_of_openblas, limit_threads, prepare, share
from fanwise.backends.process._method import choose, cores
from fanwise.errors import FanwiseWarning, UsageValueError


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """One Python thread, one native thread, nothing asked for."""
    monkeypatch.delenv("FANWISE_START_METHOD", raising=False)
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setattr(_method, "_native_threads", lambda: 1)
    _method._stopped_at_fork.cache_clear()
    yield monkeypatch
    _method._stopped_at_fork.cache_clear()


def test_alone_it_forks(alone: pytest.MonkeyPatch) -> None:
    assert choose(None) == "fork"


def test_with_a_second_thread_it_does_not(alone: pytest.MonkeyPatch) -> None:
    alone.setattr(threading, "active_count", lambda: 2)
    assert choose(None) == "forkserver"


@pytest.mark.parametrize(
    ("native", "copies", "cuda", "method"),
    [
        (2, 1, False, "fork"),  # OpenBLAS on two cores
        (3, 2, False, "fork"),
        (3, 1, False, "forkserver"),
        (2, 0, False, "forkserver"),  # OpenMP, rayon, Arrow
        (2, 1, True, "forkserver"),
    ],
)
def test_native_threads_are_accepted_from_openblas_only(
    alone: pytest.MonkeyPatch, native: int, copies: int, cuda: bool, method: str
) -> None:
    alone.setattr(_method, "_native_threads", lambda: native)
    alone.setattr(_method, "_has_cuda", lambda: cuda)
    alone.setattr(_method, "cores", lambda: 2)
    alone.setattr(_blas, "copies_of_openblas", lambda: copies)
    assert choose(None) == method


def test_what_is_loaded_is_looked_at_again_after_an_import_only(alone: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    alone.setattr(_method, "_native_threads", lambda: 2)
    alone.setattr(_method, "_has_cuda", lambda: bool(looks.append(1)))
    alone.setattr(_blas, "copies_of_openblas", lambda: 1)
    assert [choose(None) for _ in range(3)] == ["fork"] * 3
    alone.setitem(sys.modules, "new_here", sys)
    assert choose(None) == "fork"
    assert len(looks) == 2


def test_the_system_is_asked(alone: pytest.MonkeyPatch) -> None:
    alone.undo()
    assert _method._native_threads() >= threading.active_count()
    assert _method._has_cuda() is False
    assert 1 <= cores() <= (os.cpu_count() or 1)


def test_an_explicit_choice_wins_over_the_environment(alone: pytest.MonkeyPatch) -> None:
    alone.setenv("FANWISE_START_METHOD", "spawn")
    assert choose(None) == "spawn"
    assert choose("forkserver") == "forkserver"
    alone.setenv("FANWISE_START_METHOD", "magic")
    with pytest.raises(UsageValueError, match="got 'magic'"):
        choose(None)


class TestForkingAsTold:
    @pytest.fixture
    def other(self, request: pytest.FixtureRequest) -> Iterator[None]:
        """A second thread, of this name."""
        ended = threading.Event()
        thread = threading.Thread(target=ended.wait, name=request.param)
        main = [threading.main_thread(), thread]
        thread.start()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(threading, "enumerate", lambda: main)
            yield
        ended.set()
        thread.join()

    @pytest.mark.parametrize("other", ["somebody else's"], indirect=True)
    def test_beside_other_threads_it_warns(self, other: None) -> None:
        with pytest.warns(FanwiseWarning, match="other threads run"):
            assert choose("fork") == "fork"

    @pytest.mark.parametrize("other", ["fanwise-collector"], indirect=True)
    def test_our_own_thread_does_not_count(self, other: None) -> None:
        assert choose("fork") == "fork"


@pytest.mark.parametrize(("cores", "workers", "threads"), [(8, 2, 4), (8, 3, 2), (2, 8, 1), (2, 0, 2)])
def test_each_worker_has_its_share(monkeypatch: pytest.MonkeyPatch, cores: int, workers: int, threads: int) -> None:
    for name in _blas._VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert share(cores, workers) == threads
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    assert share(cores, workers) is None


def test_loaded_libraries_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numpy")
    threadpoolctl = pytest.importorskip("threadpoolctl")
    pools = [p for p in threadpoolctl.threadpool_info() if p["internal_api"] == "openblas"]
    assert copies_of_openblas() == len(pools)
    for name in _blas._VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    prepare()
    with threadpoolctl.threadpool_limits(None):
        limit_threads(1)
        assert {p["num_threads"] for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"} == {1}
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_without_proc_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", missing)
    assert _blas._loaded() == set()
    monkeypatch.setattr(_blas, "_loaded", set)
    _blas._setters.cache_clear()
    assert _blas._setters(0) == []
    _blas._setters.cache_clear()


def test_limiting_the_threads_of_a_worker_starts_none() -> None:
    """Threads that OpenBLAS starts spin before they sleep, next to the first items of the worker."""
    pytest.importorskip("numpy")
    code = (
        "import numpy, os\n"
        "from fanwise.backends.process._blas import limit_threads, prepare\n"
        "prepare()\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    limit_threads(1)\n"
        "    numpy.ones((300, 300)) @ numpy.ones((300, 300))\n"
        "    os._exit(len(os.listdir('/proc/self/task')))\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    environment = {name: value for name, value in plain_environment().items() if "NUM_THREADS" not in name}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == "1\n", ran.stderr
