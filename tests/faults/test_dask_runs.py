"""Runs on a Dask cluster of real processes: the loop's results, whatever happens to its workers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.at_chunk import AtChunk
from tests.certificates import certify
from tests.dask_servers import ROOT, Servers, servers

import fanwise
from fanwise.errors import BackendError, UsageError

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


def test_a_client_stays_its_owners(cluster: Servers) -> None:
    from distributed import Client

    with Client(f"tcp://127.0.0.1:{cluster.port}", set_as_default=False) as client:
        assert fanwise.map(square, range(10), backend=client) == [x * x for x in range(10)]
        assert client.submit(square, 3).result() == 9


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


def test_a_scheduler_that_is_lost_is_named_and_what_is_finished_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fanwise.backends.remote import _liaison

    monkeypatch.setattr(_liaison, "GRACE_S", 1.0)
    home, journal = tmp_path / "dask", tmp_path / "journal"
    home.mkdir()
    with servers(home, 1) as there:
        dying = AtChunk(4, there.scheduler.kill)
        with pytest.raises(BackendError, match=r"the scheduler at tcp://127\.0\.0\.1:\d+ went away after \d+ items"):
            fanwise.map(slow, range(300), backend=there.url, chunk_size=5, resume=journal, progress=dying)
    again = fanwise.run(slow, range(300), workers=1, resume=journal)
    assert again.report.resumed >= 4
    assert again.values() == [x + 1 for x in range(300)]


def test_fifty_runs_leave_no_key_on_the_scheduler(executor: fanwise.Executor, cluster: Servers) -> None:
    from distributed import Client

    for _ in range(50):
        assert fanwise.map(square, range(20), executor=executor) == [x * x for x in range(20)]
    with Client(f"tcp://127.0.0.1:{cluster.port}", set_as_default=False) as client:
        keys = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
    assert [key for key in keys if "fanwise" in str(key)] == []


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

    def test_an_asynchronous_client(self, cluster: Servers) -> None:
        class Client:
            asynchronous = True

        from fanwise.backends.dask import DaskBackend

        with pytest.raises(UsageError, match="synchronous client"):
            DaskBackend(Client())


ENCRYPTED = """
import sys, fanwise
print(fanwise.map(abs, range(-5, 0), backend=sys.argv[1]))
"""


class TestEncrypted:
    """A scheduler that asks for certificates: those of Dask's own configuration, which the environment sets here."""

    @pytest.fixture
    def environ(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
        config = pytest.importorskip("dask.config")
        certify(tmp_path)
        names = {"ca-file": "ca.pem"}
        for role in ("scheduler", "worker", "client"):
            names |= {f"{role}__cert": "cert.pem", f"{role}__key": "key.pem"}
        settings = {
            f"DASK_DISTRIBUTED__COMM__TLS__{key.upper().replace('-', '_')}": str(tmp_path / file)
            for key, file in names.items()
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        config.refresh()
        yield dict(os.environ)
        monkeypatch.undo()
        config.refresh()

    def test_items_run_there_and_without_a_certificate_they_do_not(
        self, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        with servers(tmp_path, 1, scheme="tls") as cluster:
            environ |= {"PYTHONPATH": str(ROOT / "src")}
            words = [sys.executable, "-W", "error", "-c", ENCRYPTED, cluster.url]
            there = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=60)
            assert there.stdout == "[5, 4, 3, 2, 1]\n", there.stderr
            bare = {name: value for name, value in environ.items() if "TLS" not in name}
            refused = subprocess.run(words, env=bare, capture_output=True, text=True, timeout=60)
            assert refused.returncode == 1
            assert "needs certificates: set distributed.comm.tls.ca-file" in refused.stderr.splitlines()[-1]
