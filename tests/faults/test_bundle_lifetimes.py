"""What is left of a bundle when processes end in all the ways they can: nothing."""

from __future__ import annotations

import gc
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.contract.bundle_peers import ROOT, forked, own_descriptors, unique_and_proportional

from fanwise import Bundle, freeze
from fanwise.bundle._freezing import freeze_over
from fanwise.bundle._transports import PRIVATE, SEALED
from fanwise.errors import BundleError
from fanwise.typing import Attachment

pytestmark = [pytest.mark.faults, pytest.mark.process]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}


def run(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, **options)


@pytest.fixture(autouse=True)
def no_files_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The temporary folder of this process and of those it starts is one of its own, and empty in the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert [name for name in os.listdir(folder) if name.startswith("fanwise")] == []


OWNER = """
import os, sys, numpy as np
from fanwise.bundle._freezing import freeze_over
from fanwise.bundle import _transports
from tests.contract.bundle_peers import forked
transport = getattr(_transports, sys.argv[1])
with forked() as peer, freeze_over(transport, {"x": np.arange(1000.0)}, "market") as bundle:
    peer.ask("hold", bundle.attachment(), "x")
    print(peer.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("transport", ["SEALED", "PRIVATE"])
def test_a_killed_owner_leaves_nothing_and_its_workers_end(transport: str) -> None:
    command = [sys.executable, "-c", OWNER, transport]
    owner = subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdin
    assert owner.stdout
    worker = int(owner.stdout.readline())
    watch = os.pidfd_open(worker)
    owner.kill()
    owner.wait()
    owner.stdin.close()
    owner.stdout.close()
    wait_for_end(watch)
    os.close(watch)


def wait_for_end(pidfd: int) -> None:
    """A pidfd is readable once its process has ended."""
    import select

    ready, _, _ = select.select([pidfd], [], [], 5)
    assert ready, "the worker is still there after 5 s"


@pytest.mark.parametrize(
    "ending", ["", "view = bundle['x']; model = bundle['m']", "raise SystemExit(0)", "os._exit(0)"]
)
def test_an_interpreter_that_ends_without_close_says_nothing(ending: str) -> None:
    code = "import os, numpy as np, fanwise\n"
    code += f"bundle = fanwise.freeze({{'x': np.arange(5), 'm': {{'a': np.arange(3)}}}})\n{ending}"
    done = run(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_interpreter_that_ends_by_an_error_shows_that_error_only() -> None:
    done = run("import fanwise\nbundle = fanwise.freeze({'x': b'a'})\n1 / 0")
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("ZeroDivisionError: division by zero")


@pytest.mark.parametrize("transport", [SEALED, PRIVATE], ids=lambda t: t.name)
def test_an_error_while_freezing_leaves_no_descriptor(transport: Any) -> None:
    before = own_descriptors()
    for bad in (lambda: 1 / 0, threading.Lock()):
        with pytest.raises((ZeroDivisionError, Exception)):
            freeze_over(transport, {"x": np.arange(5), "y": bad})
    assert own_descriptors() == before


def resident_and_maps() -> tuple[int, int]:
    with open("/proc/self/statm", encoding="ascii") as statm, open("/proc/self/maps", encoding="ascii") as maps:
        return int(statm.read().split()[1]) * resource.getpagesize(), sum("fanwise" in line for line in maps)


@pytest.mark.slow
@pytest.mark.parametrize("transport", [SEALED, PRIVATE], ids=lambda t: t.name)
def test_a_thousand_freezes_cost_no_descriptor_map_or_memory(transport: Any) -> None:
    values = {"x": np.arange(100_000.0), "m": {"k": np.arange(10)}, "b": b"note"}

    def once() -> None:
        with freeze_over(transport, values) as bundle:
            assert bundle["x"][-1] == 99_999.0
            bundle["m"]

    for _ in range(50):
        once()
    gc.collect()
    descriptors, (resident, maps) = len(os.listdir("/proc/self/fd")), resident_and_maps()
    for _ in range(1000):
        once()
    gc.collect()
    after, after_maps = resident_and_maps()
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert after_maps == maps
    assert after - resident < 4_000_000


def test_bundles_that_are_dropped_cost_no_descriptor_either() -> None:
    before = own_descriptors()
    for _ in range(100):
        freeze({"x": np.arange(5)})["x"]
    assert own_descriptors() == before


def test_a_child_that_closes_its_copy_does_not_close_the_parents(tmp_path: Path) -> None:
    heard: list[bytes] = []
    with freeze({"x": np.arange(3), "m": {"k": 1}}) as bundle:
        bundle.when_closed(heard.append)
        with forked() as peer:
            peer.ask("close", bundle.attachment(), fd=-1)
            with pytest.raises(BundleError, match="not in this process"):
                peer.ask("read", bundle.attachment(), "x", fd=-1)
            assert peer.ask("read", bundle.attachment(), "x") == [0, 1, 2]
        assert heard == []
        assert bundle["x"].tolist() == [0, 1, 2]
        assert bundle["m"] == {"k": 1}
    assert heard == [bundle.id]


def test_a_child_forked_while_a_thread_loads_an_entry_can_load_it() -> None:
    loading, go_on = threading.Event(), threading.Event()
    Slow.loading, Slow.go_on = loading, go_on
    with freeze({"slow": Slow(), "x": np.arange(3)}) as bundle:
        thread = threading.Thread(target=lambda: bundle["slow"])
        thread.start()
        assert loading.wait(10)
        with forked() as peer:
            assert peer.ask("read", bundle.attachment(), "x", fd=-1) == [0, 1, 2]
        go_on.set()
        thread.join()
    Slow.loading = Slow.go_on = None


class Slow:
    """Takes as long to load as the test wants."""

    loading: threading.Event | None = None
    go_on: threading.Event | None = None

    def __getstate__(self) -> Any:
        return {"x": 1}

    def __setstate__(self, state: Any) -> None:
        assert self.loading
        assert self.go_on
        self.loading.set()
        assert self.go_on.wait(10)


class TestPlainPickles:
    """Between processes that fanwise did not start: reopened where the owner has it."""

    @pytest.mark.slow
    @pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_workers_of_multiprocessing_read_it(self, method: str) -> None:
        code = (
            "import functools, multiprocessing, numpy as np, fanwise\n"
            "from tests.faults import test_bundle_lifetimes as here\n"
            "if __name__ == '__main__':\n"
            "    with fanwise.freeze({'x': np.arange(10.0)}, name='market') as bundle:\n"
            f"        with multiprocessing.get_context('{method}').Pool(2) as pool:\n"
            "            assert pool.map(functools.partial(here.item, bundle), range(10)) == list(range(10))\n"
            "            assert len(set(pool.map(functools.partial(here.where, bundle), range(4)))) <= 2\n"
        )
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder, "script.py")
            script.write_text(code)
            short = environment() | {"TMPDIR": "/tmp"}  # the path of a socket of multiprocessing has 107 bytes at most
            done = subprocess.run([sys.executable, script], env=short, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")

    def test_the_owners_end_is_told(self) -> None:
        code = "import pickle, sys, fanwise; b = fanwise.freeze({'x': 1}, name='market')\n"
        code += "sys.stdout.write(pickle.dumps(b).hex()); sys.stdout.flush(); sys.stdin.read()"
        owner = subprocess.Popen(
            [sys.executable, "-c", code], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert owner.stdout
        assert owner.stdin
        handle = bytes.fromhex(os.read(owner.stdout.fileno(), 10_000).decode())
        borrowed = pickle.loads(handle)
        assert dict(borrowed) == {"x": 1}
        assert repr(borrowed) == "<Bundle 'market' 1 entry, 5 B, memfd>"
        again = pickle.dumps(borrowed)
        borrowed.close()
        owner.stdin.close()
        owner.wait()
        owner.stdout.close()
        for gone in (handle, again):
            with pytest.raises(BundleError, match=r"^bundle 'market' lives in process \d+, which has (ended|closed)"):
                pickle.loads(gone)
        with pytest.raises(
            BundleError,
            match=rf"^bundle 'market' lives in process {owner.pid}, which has ended; save\(\) it and Bundle\.open\(\)",
        ):
            pickle.loads(handle)

    def test_a_descriptor_that_is_something_else_by_now_is_not_taken_for_the_bundle(self) -> None:
        bundle = freeze({"x": np.arange(3)}, name="market")
        handle, fd, size = pickle.dumps(bundle), bundle.attachment().fd, bundle.attachment().size
        bundle.close()
        with freeze({"x": np.arange(3)}) as other:
            assert other.attachment().size == size
            if other.attachment().fd == fd:
                with pytest.raises(BundleError, match="closed by its owner"):
                    pickle.loads(handle)
        reader, writer = os.pipe()
        os.dup2(reader, fd)
        with pytest.raises(BundleError, match="closed by its owner"):
            pickle.loads(handle)
        for end in {reader, writer, fd}:
            os.close(end)

    def test_a_process_that_may_not_be_looked_into_is_said(self) -> None:
        _, arguments = freeze({"x": 1}, name="market").__reduce__()
        with pytest.raises(BundleError, match=r"which has (ended|closed it)"):
            resolve_elsewhere(1, *arguments[1:])
        with pytest.raises(BundleError, match="this system gives no access to it"):
            resolve_elsewhere(os.getpid(), None, *arguments[2:])


def resolve_elsewhere(*handle: Any) -> Bundle:
    from fanwise.bundle._attached import reopen

    return reopen(*handle)


def item(bundle: Bundle, index: int) -> float:
    return float(bundle["x"][index])


def where(bundle: Bundle, _: int) -> tuple[int, int]:
    return os.getpid(), bundle["x"].ctypes.data


@pytest.mark.slow
def test_a_gigabyte_is_in_memory_once_however_many_read_it() -> None:
    size = 1_000_000_000
    parts = {f"part {n}": lambda n=n: np.full(size // 32, float(n)) for n in range(4)}
    with forked() as one, forked() as two:
        before = [peer.ask("memory", NOTHING) for peer in (one, two)]
        pss_before = sum(pss for _, pss in before) + unique_and_proportional()[1]
        bundle = freeze(parts, name="large")
        for peer in (one, two):
            assert peer.ask("sum", bundle.attachment()) == sum(n * size / 32 for n in range(4))
        after = [peer.ask("memory", NOTHING) for peer in (one, two)]
        for (unique, _), (unique_after, _) in zip(before, after, strict=True):
            assert unique_after - unique < 0.05 * size
        pss = sum(pss for _, pss in after) + unique_and_proportional()[1]
        assert pss - pss_before < 1.1 * size
        assert one.ask("digest", bundle.attachment(), fd=-1) == bundle.digest
        bundle.close()


NOTHING = Attachment(bytes(16), -1, 0)
