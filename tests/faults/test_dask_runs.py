"""Runs on a Dask cluster of real processes: the loop's results, whatever happens to its workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.dask_servers import ROOT, Servers

import fanwise
from fanwise.errors import BackendError, ItemTimeoutError, NotPicklableError, UsageError, WorkerLostError

pytestmark = [pytest.mark.dask, pytest.mark.slow, pytest.mark.faults]


@pytest.fixture
def cluster(dask_servers: Servers) -> Servers:
    dask_servers.keep(2)
    return dask_servers


@pytest.fixture
def executor(cluster: Servers) -> Iterator[fanwise.Executor]:
    with fanwise.Executor(backend=cluster.url) as made:
        yield made


def square(x: int) -> int:
    return x * x


def slow(x: int) -> int:
    time.sleep(0.02)
    return x + 1


class Custom(Exception):
    def __init__(self, code: int, *, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


def fail_at_7(x: int) -> int:
    if x == 7:
        raise Custom(7, detail="seven")
    return x


def die_at_50(x: int) -> int:
    if x == 50:
        os._exit(3)
    return x


def hang_at_3(x: int) -> int:
    if x == 3:
        time.sleep(60)
    return x


def test_values_and_order_are_those_of_the_loop(executor: fanwise.Executor, cluster: Servers) -> None:
    assert fanwise.map(square, range(5000), executor=executor) == [x * x for x in range(5000)]
    assert fanwise.map(square, [], backend=cluster.url) == []
    assert fanwise.map(lambda x: -x, iter(range(100)), executor=executor) == [-x for x in range(100)]
    assert list(fanwise.stream(square, range(300), executor=executor)) == [x * x for x in range(300)]


def test_no_item_runs_in_the_calling_process(cluster: Servers) -> None:
    pids = fanwise.map(lambda _: os.getpid(), range(8), backend=cluster.url, workers=1)
    assert os.getpid() not in pids
    assert len(set(pids)) == 1


def test_a_client_stays_its_owners(cluster: Servers) -> None:
    from distributed import Client

    with Client(f"tcp://127.0.0.1:{cluster.port}", set_as_default=False) as client:
        assert fanwise.map(square, range(10), backend=client) == [x * x for x in range(10)]
        assert client.submit(square, 3).result() == 9


def test_the_error_of_an_item_arrives_as_it_was(executor: fanwise.Executor) -> None:
    with pytest.raises(Custom) as caught:
        fanwise.map(fail_at_7, range(40), executor=executor)
    assert (caught.value.code, caught.value.args) == (7, ("7: seven",))
    assert any("item 7 of 40" in note for note in caught.value.__notes__)


def test_what_cannot_travel_is_named(executor: fanwise.Executor) -> None:
    lock = threading.Lock()
    with pytest.raises(NotPicklableError, match="lock"):
        fanwise.map(lambda x: (lock, x), range(3), executor=executor)
    outcomes = fanwise.map(square, [1, lock, 3], executor=executor, on_error="return")
    assert [o.ok for o in outcomes] == [True, False, True]
    assert isinstance(outcomes[1].error, NotPicklableError)


def test_output_of_items_is_shown_in_order(executor: fanwise.Executor, capsys: pytest.CaptureFixture[str]) -> None:
    fanwise.map(print, range(50), executor=executor)
    assert capsys.readouterr().out == "".join(f"{x}\n" for x in range(50))


def test_seeds_give_the_numbers_of_the_loop(executor: fanwise.Executor) -> None:
    def draw(_: int, rng: Any) -> float:
        return float(rng.random())

    assert fanwise.map(draw, range(30), executor=executor, seed=7) == fanwise.map(draw, range(30), workers=1, seed=7)


def test_an_item_that_ends_its_process_is_lost_alone(executor: fanwise.Executor, cluster: Servers) -> None:
    run = fanwise.run(die_at_50, range(200), executor=executor)
    bad = [o for o in run.outcomes if not o.ok]
    assert [(type(o.error), o.index, o.attempts) for o in bad] == [(WorkerLostError, 50, 2)]
    assert "exit code 3" in bad[0].reason
    assert all(worker.poll() is None for worker in cluster.workers), "a Dask worker went with it"


def test_a_timeout_stops_one_item(executor: fanwise.Executor) -> None:
    run = fanwise.run(hang_at_3, range(10), executor=executor, timeout=1.0)
    assert [(o.index, type(o.error)) for o in run.outcomes if not o.ok] == [(3, ItemTimeoutError)]


def test_a_retry_succeeds_on_the_third_attempt(executor: fanwise.Executor) -> None:
    def flaky(x: int) -> int:
        task = fanwise.current_task()
        if x == 5 and task is not None and task.attempt < 3:
            raise OSError("not yet")
        return x

    run = fanwise.run(flaky, range(10), executor=executor, retries=2)
    assert run.values() == list(range(10))
    assert [o.attempts for o in run.outcomes] == [1] * 5 + [3] + [1] * 4


@pytest.mark.parametrize("after", [0.2, 0.5, 1.0])
def test_a_killed_dask_worker_costs_no_result(executor: fanwise.Executor, cluster: Servers, after: float) -> None:
    timer = threading.Timer(after, cluster.workers[0].kill)
    timer.start()
    run = fanwise.run(slow, range(150), executor=executor)
    timer.join()
    assert run.values() == [x + 1 for x in range(150)]
    assert cluster.workers[0].wait(10) == -signal.SIGKILL


def test_workers_that_join_are_used_and_those_that_leave_are_not_missed(cluster: Servers) -> None:
    def where(_: int) -> int:
        time.sleep(0.05)
        return os.getppid()

    change = threading.Thread(target=lambda: (cluster.grow(1), cluster.wait_for(3)))
    change.start()
    parents = set(fanwise.map(where, range(250), backend=cluster.url))
    change.join()
    assert len(parents) == 3
    cluster.keep(2)


def test_a_run_without_any_worker_left_says_so(cluster: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    from fanwise.backends.remote import _crew

    monkeypatch.setattr(_crew, "GRACE_S", 1.0)
    for worker in cluster.workers:
        threading.Timer(1.0, worker.kill).start()
    with pytest.raises(BackendError, match="has had no workers") as caught:
        fanwise.map(slow, range(2000), backend=cluster.url)
    assert any(o is not None for o in caught.value.__fanwise_run__.outcomes)


def test_fifty_runs_leave_no_key_on_the_scheduler(executor: fanwise.Executor, cluster: Servers) -> None:
    from distributed import Client

    for _ in range(50):
        assert fanwise.map(square, range(20), executor=executor) == [x * x for x in range(20)]
    with Client(f"tcp://127.0.0.1:{cluster.port}", set_as_default=False) as client:
        keys = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
    assert [key for key in keys if "fanwise" in str(key)] == []


def test_two_runs_at_once_share_one_connection(executor: fanwise.Executor) -> None:
    found: dict[int, list[int]] = {}

    def one(number: int) -> None:
        found[number] = fanwise.map(lambda x: x + number, range(100), executor=executor)

    threads = [threading.Thread(target=one, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [x + number for x in range(100)] for number in (1, 2)}


class TestBundles:
    def test_a_bundle_goes_to_a_host_once_and_is_mapped_read_only(self, cluster: Servers) -> None:
        values = np.random.default_rng(len(cluster.workers)).random(500_000)
        with fanwise.freeze({"x": values}) as bundle:

            def part(at: int) -> tuple[float, bool]:
                x = bundle["x"]
                return float(x[at::100].sum()), bool(x.flags.writeable)

            expected = [(float(values[at::100].sum()), False) for at in range(100)]
            folder = cluster.home / "cache" / "bundles"
            before = {path.name for path in folder.glob("*.fwb")}
            assert fanwise.map(part, range(100), backend=cluster.url) == expected
            stored = {path: path.stat().st_ino for path in folder.glob("*.fwb") if path.name not in before}
            assert fanwise.map(part, range(100), backend=cluster.url) == expected
        (path,) = stored
        assert path.stat().st_size > values.nbytes
        assert path.stat().st_ino == stored[path], "it was sent again"
        assert path.stat().st_mode & 0o777 == 0o400

    def test_a_bundle_that_has_gone_is_sent_again(self, executor: fanwise.Executor, cluster: Servers) -> None:
        with fanwise.freeze({"x": np.arange(1000.0)}) as bundle:
            for _ in range(2):
                assert fanwise.map(lambda i: float(bundle["x"][i]), range(20), executor=executor) == list(range(20))
                for path in (cluster.home / "cache" / "bundles").glob("*.fwb"):
                    path.unlink()

    def test_bundles_travel_as_items_and_as_results(self, executor: fanwise.Executor) -> None:
        def double(bundle: fanwise.Bundle) -> fanwise.Bundle:
            return fanwise.freeze({"x": bundle["x"] * 2})

        with fanwise.freeze({"x": np.arange(5.0)}) as first, fanwise.freeze({"x": np.ones(3)}) as second:
            results = fanwise.map(double, [first, second], executor=executor)
        assert [result["x"].tolist() for result in results] == [[0, 2, 4, 6, 8], [2, 2, 2]]
        for result in results:
            result.close()

    def test_large_items_and_results_arrive_whole(self, executor: fanwise.Executor) -> None:
        items = [np.full(300_000, x, dtype=float) for x in range(4)]
        for x, result in enumerate(fanwise.map(lambda a: a + 1, items, executor=executor)):
            assert result.flags.writeable
            assert (result == x + 1).all()


INTERRUPTED = """
import os, signal, sys, time
import fanwise

def sleep(x):
    time.sleep(0.5)
    return x

class Impatient:
    done = 0
    def start(self, total, label): pass
    def on(self, event):
        self.done += type(event).__name__ == "ChunkDone"
        if self.done == 3:
            os.kill(os.getpid(), signal.SIGINT)
    def finish(self, report): pass

try:
    fanwise.map(sleep, range(100), backend=sys.argv[1], chunk_size=1, progress=Impatient())
except fanwise.RunInterrupted as error:
    print(sum(o is not None for o in error.run.outcomes))
"""


def test_an_interrupt_keeps_what_is_finished_and_frees_the_cluster(cluster: Servers) -> None:
    from distributed import Client

    environ = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, cluster.url], env=environ, capture_output=True, text=True, timeout=60
    )
    assert 0 < int(ended.stdout) < 100, ended.stderr
    assert time.monotonic() - began < 30
    with Client(f"tcp://127.0.0.1:{cluster.port}", set_as_default=False) as client:
        assert client.submit(square, 4, pure=False).result(timeout=2) == 16


class TestWhatIsRefused:
    def test_an_address_where_nobody_answers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from fanwise.backends.dask import _backend

        monkeypatch.setattr(_backend, "_CONNECT_S", 0.5)
        with pytest.raises(BackendError, match=r"no Dask scheduler answers at 127.0.0.1:9 .*dask scheduler --port 9"):
            fanwise.map(square, range(3), backend="dask://127.0.0.1:9")

    def test_a_function_whose_imports_are_not_there(self, cluster: Servers, tmp_path: Path) -> None:
        (tmp_path / "only_here_a.py").write_text("def g(x):\n    return x\n")
        (tmp_path / "only_here_b.py").write_text("import only_here_a\n\ndef f(x):\n    return only_here_a.g(x)\n")
        sys.path.insert(0, str(tmp_path))
        try:
            import only_here_a  # type: ignore[import-not-found]  # made above
            import only_here_b  # type: ignore[import-not-found]  # made above

            assert fanwise.map(only_here_a.g, range(4), backend=cluster.url) == [0, 1, 2, 3], "sent with its module"
            with pytest.raises((BackendError, ModuleNotFoundError), match="only_here_a"):
                fanwise.map(only_here_b.f, range(4), backend=cluster.url)
        finally:
            sys.path.remove(str(tmp_path))

    def test_an_asynchronous_client(self, cluster: Servers) -> None:
        class Client:
            asynchronous = True

        from fanwise.backends.dask import DaskBackend

        with pytest.raises(UsageError, match="synchronous client"):
            DaskBackend(Client())
