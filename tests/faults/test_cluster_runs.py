"""Runs on clusters, those of Dask and Ray and agents of this process: the loop's results, whatever happens to workers."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from tests.agents_nearby import NearbyCluster
from tests.at_chunk import AtChunk

import fanwise
from fanwise.errors import BackendError, ItemTimeoutError, NotPicklableError, WorkerLostError

pytestmark = [pytest.mark.slow, pytest.mark.faults]


class Cluster(Protocol):
    home: Path

    @property
    def url(self) -> Any: ...

    def keep(self, count: int) -> None: ...

    def kill_one(self) -> None: ...


@pytest.fixture
def nearby(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NearbyCluster]:
    monkeypatch.setenv("FANWISE_CACHE_DIR", str(tmp_path / "cache"))
    made = NearbyCluster(tmp_path)
    yield made
    made.close()


@pytest.fixture(
    params=[
        pytest.param("nearby", marks=pytest.mark.process),
        pytest.param("dask_servers", marks=pytest.mark.dask, id="dask"),
        pytest.param("ray_workers", marks=pytest.mark.ray, id="ray"),
    ]
)
def cluster(request: pytest.FixtureRequest) -> Cluster:
    there: Cluster = request.getfixturevalue(request.param)
    there.keep(2)
    return there


@pytest.fixture
def executor(cluster: Cluster) -> Iterator[fanwise.Executor]:
    with fanwise.Executor(backend=cluster.url) as made:
        yield made


def square(x: int) -> int:
    return x * x


def slow(x: int) -> int:
    time.sleep(0.02)
    return x + 1


def parent(_: int) -> int:
    """The worker of the cluster beside which an item runs: its process is the parent's parent."""
    time.sleep(0.005)
    return os.getppid()


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


def test_values_and_order_are_those_of_the_loop(executor: fanwise.Executor, cluster: Cluster) -> None:
    assert fanwise.map(square, range(5000), executor=executor) == [x * x for x in range(5000)]
    assert fanwise.map(square, [], backend=cluster.url) == []
    assert fanwise.map(lambda x: -x, iter(range(100)), executor=executor) == [-x for x in range(100)]
    assert list(fanwise.stream(square, range(300), executor=executor)) == [x * x for x in range(300)]


def test_no_item_runs_in_the_calling_process(cluster: Cluster) -> None:
    pids = fanwise.map(lambda _: os.getpid(), range(8), backend=cluster.url, workers=1)
    assert os.getpid() not in pids
    assert len(set(pids)) == 1


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


def test_an_item_that_ends_its_process_is_lost_alone(executor: fanwise.Executor) -> None:
    parents = set(fanwise.map(parent, range(40), executor=executor))
    run = fanwise.run(die_at_50, range(200), executor=executor)
    bad = [o for o in run.outcomes if not o.ok]
    assert [(type(o.error), o.index, o.attempts) for o in bad] == [(WorkerLostError, 50, 2)]
    assert "exit code 3" in bad[0].reason
    assert set(fanwise.map(parent, range(40), executor=executor)) <= parents, "a worker of the cluster went with it"


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


@pytest.mark.parametrize("after", [1, 4, 8])
def test_a_killed_worker_of_the_cluster_costs_no_result(
    executor: fanwise.Executor, cluster: Cluster, after: int
) -> None:
    run = fanwise.run(slow, range(150), executor=executor, chunk_size=5, progress=AtChunk(after, cluster.kill_one))
    assert run.values() == [x + 1 for x in range(150)]


def test_every_worker_killed_once_costs_no_result(executor: fanwise.Executor, cluster: Cluster) -> None:
    def kill_and_replace() -> None:
        cluster.kill_one()
        cluster.keep(2)

    first = AtChunk(3, kill_and_replace)
    run = fanwise.run(slow, range(200), executor=executor, chunk_size=4, progress=AtChunk(12, kill_and_replace, first))
    assert run.values() == [x + 1 for x in range(200)]


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
    def test_a_bundle_goes_to_a_host_once_and_is_mapped_read_only(self, cluster: Cluster) -> None:
        values = np.random.default_rng(7).random(500_000)
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

    def test_a_bundle_that_has_gone_is_sent_again(self, executor: fanwise.Executor, cluster: Cluster) -> None:
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


def test_a_function_whose_imports_are_not_there(cluster: Cluster, tmp_path: Path) -> None:
    if isinstance(cluster, NearbyCluster):
        pytest.skip("its workers look for modules where the caller does")
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
