"""Full disks, read-only places, wrong owners, links, forged records, leaks: values stay right, and one line says why."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.cache_kit import SharedDict, folder, in_child, python

from fanwise import Cache
from fanwise.cache._records import PICKLED, Record, pack
from fanwise.cache._signed import SECRET_BYTES, local_secret, secret_path
from fanwise.errors import CacheError, FanwiseWarning, UsageError

pytestmark = pytest.mark.faults
ROOT = os.geteuid() == 0
BACKENDS = ["index", "files"]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _own_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("FANWISE_CACHE_SECRET_FILE", raising=False)


def quietly(work: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            work()

    return run


# No space.


def limited(path: Path, backend: str, size: int) -> None:
    """In a child whose files may not grow beyond ``size`` bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with Cache(path, backend=backend, memory=0) as cache:
        cache.put("before", b"small")
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for n in range(50):
                value = bytes([n]) * 60_000
                assert cache.get_or_compute(n, lambda: value) == value
                assert cache.get(n) in {None, value}
        assert cache.get("before") == b"small"
        assert cache.stats().errors > 0
        messages = [str(each.message) for each in caught if issubclass(each.category, FanwiseWarning)]
        assert len(messages) == 1, messages
        assert "cache: no space left on" in messages[0]
        assert "results are not stored" in messages[0]


def test_a_file_size_limit_costs_stores_and_nothing_else(tmp_path: Path, backend: str) -> None:
    size = 300_000 if backend == "index" else 10_000
    assert in_child(lambda: limited(tmp_path / "c", backend, size)) == 0
    with Cache(tmp_path / "c", backend=backend) as cache:
        assert cache.verify().ok, "no partial record is readable"
        assert cache.put("after", 1)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(place)], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_costs_stores_and_nothing_else(small_disk: Path, backend: str) -> None:
    with Cache(small_disk / "c", backend=backend, memory=0) as cache:
        with pytest.warns(FanwiseWarning, match="no space left"):
            for n in range(60):
                value = bytes([n]) * 30_000
                assert cache.get_or_compute(n, lambda: value) == value
        found = [cache.get(n) for n in range(60)]
        assert all(value in {None, bytes([n]) * 30_000} for n, value in enumerate(found))
        assert any(found)
        assert cache.verify().ok
        stored = [n for n, value in enumerate(found) if value]
        assert cache.delete(stored[0]), "removing needs no space"
        assert cache.get(stored[0]) is None
        cache.clear()
        assert cache.put("a", b"x" * 30_000)


def test_a_put_that_fails_leaves_no_older_value(small_disk: Path) -> None:
    with Cache(small_disk / "c", backend="index", memory="100kB") as cache:
        cache.put("k", b"old")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = [cache.put("k", os.urandom(200_000)) for _ in range(8)]
        if not all(results):
            assert cache.get("k") is None or results[-1]


def test_other_errors_of_the_disk_are_misses_and_told(
    tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Cache(tmp_path / "c", backend=backend, memory=0) as cache:
        cache.put("k", 1)
        monkeypatch.setattr(os, "pwrite", raising(errno.EIO))
        monkeypatch.setattr(os, "fsync", raising(errno.EIO))
        with pytest.warns(FanwiseWarning, match="Input/output error"):
            assert cache.get_or_compute("l", lambda: 2) == 2
        assert cache.stats().errors >= 1
        monkeypatch.undo()
        monkeypatch.setattr(cache.engine.levels.disk, "read", raising(errno.EIO))
        assert cache.get_or_compute("k", lambda: 3) == 3


def raising(number: int) -> Callable[..., Any]:
    def fail(*args: object, **options: object) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


# Places.


def test_a_file_is_no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CacheError) as caught:
        Cache("x")
    assert str(caught.value) == "cache directory 'x' is a file; choose another --cache-dir"
    for path in ("x/y", "/proc/self/nothing/here", "\0" if False else "/dev/null/c"):
        with pytest.raises(CacheError, match=r"cannot be made|is a file"):
            Cache(path)


def as_other_user(work: Callable[[], Any]) -> int:
    """As somebody who is not root and may not write everywhere."""

    def run() -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        work()

    return in_child(run)


@pytest.mark.skipif(not ROOT, reason="only root can become another user")
def test_somebody_elses_directory_is_refused(tmp_path: Path, backend: str) -> None:
    Cache(tmp_path / "c", backend=backend).close()
    os.chown(tmp_path / "c", 12345, 12345)
    with pytest.raises(CacheError, match=r"belongs to user 12345, not to you.*chmod 700"):
        Cache(tmp_path / "c", backend=backend)


@pytest.mark.skipif(not ROOT, reason="only root can give files away")
@pytest.mark.parametrize("name", ["", "index", "log-00000001", "lock", "hits"])
def test_somebody_elses_file_within_is_refused(tmp_path: Path, name: str) -> None:
    with Cache(tmp_path / "c", backend="index") as cache:
        cache.put("a", 1)
    os.chown(folder(cache) / name, 12345, 12345)
    with pytest.raises(CacheError, match="belongs to user 12345"):
        Cache(tmp_path / "c", backend="index")


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o702])
def test_a_directory_that_others_can_write_is_refused_with_what_to_type(tmp_path: Path, mode: int) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c").chmod(mode)
    with pytest.raises(CacheError, match=f"can be written by others; run: chmod 700 {tmp_path / 'c'}"):
        Cache(tmp_path / "c")
    (tmp_path / "c").chmod(0o755)
    Cache(tmp_path / "c").close()


def test_a_given_path_may_lead_through_links_but_nothing_within_may_be_one(tmp_path: Path, backend: str) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")
    with Cache(tmp_path / "link", backend=backend) as cache:
        assert cache.put("a", 1)
        inside = folder(cache)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    for name in ("index", "entries", "lock", "leases", "log-00000001"):
        path = inside / name
        kept = path.exists()
        if kept:
            path.rename(tmp_path / "kept")
        path.symlink_to(victim)
        with pytest.raises(CacheError, match="is a symbolic link; a cache holds none"):
            Cache(tmp_path / "link", backend=backend)
        path.unlink()
        if kept:
            (tmp_path / "kept").rename(path)
    inside.rename(tmp_path / "elsewhere")
    inside.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CacheError, match="symbolic link"):
        Cache(tmp_path / "link", backend=backend)
    assert victim.read_bytes() == b"precious"


def test_a_link_planted_while_it_is_open_is_not_followed(tmp_path: Path) -> None:
    with Cache(tmp_path / "c", backend="index", memory=0) as cache:
        value = os.urandom(100_000)
        cache.put("a", value)
        (blob,) = [path for path in (folder(cache) / "blobs").rglob("*") if path.is_file()]
        copy = tmp_path / "copy"
        copy.write_bytes(value)
        blob.unlink()
        blob.symlink_to(copy)
        with pytest.raises(CacheError, match="symbolic link"):
            cache.get("a")


@pytest.mark.parametrize("name", ["v1", "index", "lock", "log-00000001", "hits", "leases", "blobs", "entries", "locks"])
def test_what_is_a_file_where_a_directory_should_be_or_the_reverse_is_named(
    tmp_path: Path, backend: str, name: str
) -> None:
    with Cache(tmp_path / "c", backend=backend) as cache:
        inside = folder(cache)
    place = inside if name == "v1" else inside / name
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
    if name in {"v1", "blobs", "entries", "locks"}:
        place.write_bytes(b"")
    else:
        place.mkdir()
    with pytest.raises(CacheError, match=f"{place.name}' is a (file|directory) where a cache has a"):
        Cache(tmp_path / "c", backend=backend)


def test_a_file_in_the_place_of_a_folder_of_entries_costs_those_entries(tmp_path: Path, backend: str) -> None:
    value = os.urandom(100_000)
    with Cache(tmp_path / "c", backend=backend, memory=0) as cache:
        assert cache.put("k", value)
        (place,) = (folder(cache) / {"index": "blobs", "files": "entries"}[backend]).iterdir()
        shutil.rmtree(place)
        place.write_bytes(b"")
        with pytest.warns(FanwiseWarning, match="results are not stored"):
            assert cache.get("k") is None
        assert cache.get_or_compute("k", lambda: value) == value
        cache.put("k", value)
        cache.delete("k")
        assert "k" not in cache
        assert list(cache.list()) == []
        assert cache.prune().kept == cache.clear() == 0


def test_the_default_directory_may_not_be_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FANWISE_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with Cache() as cache:
        assert cache.path == str(tmp_path / "fanwise")
    (tmp_path / "fanwise").rename(tmp_path / "other")
    (tmp_path / "fanwise").symlink_to("other")
    with pytest.raises(CacheError, match="is a symbolic link"):
        Cache()
    monkeypatch.setenv("FANWISE_CACHE_DIR", str(tmp_path / "fanwise"))
    Cache().close()


@pytest.mark.skipif(not ROOT, reason="root has to make a place that others cannot write")
def test_a_read_only_directory_gives_hits_and_stores_nothing(backend: str) -> None:
    def work() -> None:
        import tempfile

        root = Path(tempfile.mkdtemp())
        with Cache(root / "c", backend=backend) as cache:
            cache.put("k", [1])
            cache.put("blob", b"x" * 100_000)
        for path in [*root.rglob("*")]:
            path.chmod(0o500 if path.is_dir() else 0o400)
        with Cache(root / "c", backend=backend) as cache:
            assert cache.get("k") == [1]
            assert cache.get("blob") == b"x" * 100_000
            with pytest.warns(FanwiseWarning, match="read-only; results are not stored"):
                assert cache.get_or_compute("n", lambda: 2) == 2
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert cache.get_or_compute("n", lambda: 3) == 3
                assert not cache.put("n", 4)
            assert cache.verify().ok
            for remove in (cache.clear, cache.prune, partial(cache.verify, repair=True)):
                with pytest.raises(CacheError, match="is read-only; nothing in it can be removed"):
                    remove()
            with pytest.warns(FanwiseWarning, match="read-only; entries in it stay"):
                assert not cache.delete("k")
            assert not cache.delete("never there")
            assert cache.get("k") == [1]
        missing = root / "c" / "inner" / "deep"
        with pytest.warns(FanwiseWarning, match="is read-only; results are kept in memory only"):
            cache = Cache(missing, backend=backend)
        assert cache.get_or_compute("n", lambda: [5]) == cache.get("n") == [5]
        cache.close()

    assert as_other_user(work) == 0


def test_memory_goes_on_where_the_directory_cannot_be_made(
    tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "mkdir", raising(errno.EROFS))
    with pytest.warns(FanwiseWarning, match="is read-only; results are kept in memory only"):
        cache = Cache(tmp_path / "c", backend=backend)
    with cache:
        assert cache.get_or_compute("k", lambda: [1]) == [1]
        assert cache.get("k") == [1]
        assert cache.stats().backend == "memory"
        assert cache.stats().entries == 1


# Trust.


class Evil:
    ran: list[int] = []

    def __reduce__(self) -> Any:
        return Evil.ran.append, (1,)


def plant(cache: Cache, record: Record) -> None:
    """Put a record into the index as a thief with write access would."""
    level = cache.engine.levels.disk
    store = level._store
    data = pack(record)
    with store as index:
        segment, offset = store.append(index, data, entries=1)
        from fanwise.cache._index import Slot

        slot = Slot(record.key, segment, offset, len(data), record.flags, record.expires, record.created)
        store.place(index, slot, index.places(record.key))


@pytest.mark.parametrize("kind", [False, "signed"])
def test_a_planted_pickle_is_refused_and_never_read(tmp_path: Path, kind: Any) -> None:
    with Cache(tmp_path / "c", backend="index", pickle=kind) as cache:
        payload = pickle.dumps(Evil())
        for meta in (b"", bytes(32)):
            plant(cache, Record(cache.key("k"), 0.0, float("inf"), PICKLED, 4, "user", meta, payload))
            assert cache.get("k") is None
        assert cache.stats().refused == 2
        assert Evil.ran == []
        assert cache.get_or_compute("k", lambda: 7) == 7


class Plain:
    def __init__(self, x: int) -> None:
        self.x = x


def test_signed_pickles_are_read_by_the_same_user_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Cache(tmp_path / "c", pickle="signed") as cache:
        assert cache.put("k", Plain(5))
        assert cache.get("k").x == 5
        assert next(iter(cache.list())).codec == "pickle"
    secret = Path(secret_path())
    assert secret.parent.parent == tmp_path / "config"
    assert oct(secret.stat().st_mode)[-3:] == "600"
    assert len(secret.read_bytes()) == SECRET_BYTES
    with Cache(tmp_path / "c", pickle="signed") as cache:
        assert cache.get("k").x == 5
    with Cache(tmp_path / "c") as cache:
        assert cache.get("k") is None
        assert cache.stats().refused == 1
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another"))
    with Cache(tmp_path / "c", pickle="signed") as cache:
        assert cache.get("k") is None
        assert cache.stats().refused == 1


def test_pickle_true_is_refused_with_the_word_to_use(tmp_path: Path) -> None:
    for value in (True, "yes", None):
        with pytest.raises(UsageError, match='"signed"'):
            Cache(tmp_path / "c", pickle=value)


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    secret = Path(secret_path())
    assert local_secret(make=False) is None
    local_secret(make=True)
    secret.chmod(0o640)
    with pytest.raises(UsageError, match="can be read by others"):
        Cache(tmp_path / "c", pickle="signed")
    secret.chmod(0o600)
    secret.write_bytes(b"short")
    with pytest.raises(UsageError, match="has 5 bytes; at least 32"):
        Cache(tmp_path / "c", pickle="signed")
    secret.unlink()
    secret.symlink_to("/etc/hostname")
    with pytest.raises(UsageError, match="cannot be read"):
        Cache(tmp_path / "c", pickle="signed")


def test_makers_of_the_secret_at_one_instant_have_one(tmp_path: Path) -> None:
    found: list[bytes | None] = []
    threads = [threading.Thread(target=lambda: found.append(local_secret(make=True))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert [path.name for path in Path(secret_path()).parent.iterdir()] == ["cache.key"]


def test_openers_of_a_new_directory_at_one_instant_share_it(tmp_path: Path, backend: str) -> None:
    pids = []
    for n in range(4):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                with Cache(tmp_path / "c", backend=backend) as cache:
                    code = 0 if cache.put(n, n) else 2
            finally:
                os._exit(code)
        pids.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * 4
    with Cache(tmp_path / "c", backend=backend) as cache:
        assert [cache.get(n) for n in range(4)] == [0, 1, 2, 3]


# Leaks.


def open_things() -> tuple[int, int]:
    """Descriptors and maps of files."""
    maps = sum("fanwise" in line or "/v1" in line for line in Path("/proc/self/maps").read_text().splitlines())
    return len(os.listdir("/proc/self/fd")), maps


def test_opening_and_closing_a_hundred_times_leaves_nothing(tmp_path: Path, backend: str) -> None:
    def use() -> None:
        with Cache(tmp_path / "c", backend=backend) as cache:
            cache.put("a", [1])
            cache.get("a")
            cache.get_or_compute("b", lambda: b"x" * 100_000)

    use()
    before = open_things()
    for _ in range(100):
        use()
    assert open_things() == before


@pytest.mark.slow
def test_ten_thousand_operations_leave_nothing(tmp_path: Path, backend: str) -> None:
    with Cache(tmp_path / "c", backend=backend, disk="3MiB", memory="100kB") as cache:
        value = b"x" * 3000
        for n in range(200):
            cache.put(n, value)
        before = open_things()
        for n in range(10_000 if backend == "index" else 1000):
            kind = n % 5
            if kind == 0:
                cache.put(n % 300, value)
            elif kind == 1:
                cache.delete(n % 300)
            elif kind == 2:
                cache.get_or_compute(("c", n % 50), lambda: [value])
            else:
                cache.get(n % 300)
        after = open_things()
        assert after[0] <= before[0] + 6
        assert after[1] <= before[1] + 6, "a map for each live segment"


def test_large_values_give_back_their_maps(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    with Cache(tmp_path / "c", backend="index", memory=0) as cache:
        cache.put("a", np.zeros(1 << 18))
        kept = [cache.get("a") for _ in range(5)]
        kept[0][0] = 1
        assert [array[0] for array in kept] == [1, 0, 0, 0, 0]
        assert all(array.flags.writeable for array in kept)
        del kept
        before = open_things()
        for _ in range(200):
            cache.get("a")
        assert open_things() == before


# Without the extras.


def test_everything_but_arrays_works_without_numpy_and_xxhash(tmp_path: Path) -> None:
    code = """
        import sys
        for name in ("numpy", "xxhash", "pandas", "polars", "pyarrow", "attrs", "attr"):
            sys.modules[name] = None
        from pathlib import Path
        from fanwise import Cache
        with Cache(sys.argv[1], memory=0) as cache:
            f = cache.memoize(lambda x, y=2: {"sum": [x + y]})
            assert f(1) == f(1, 2) == {"sum": [3]}
            assert cache.put("big", b"x" * 100_000) and cache.get("big") == b"x" * 100_000
            assert cache.stats().hits == 2 and cache.verify().ok
            assert cache.get_or_compute(("a", 1.5, frozenset({1})), lambda: None) is None
        assert [p.name for p in Path(sys.argv[1]).iterdir() if p.is_dir()] == ["v1-blake2b"]
    """
    done = python(code, str(tmp_path / "c"))
    assert done.returncode == 0, done.stderr


def test_importing_the_package_imports_none_of_it() -> None:
    code = "import sys, fanwise; print([m for m in sys.modules if m.startswith('fanwise.cache') or m in ('numpy', 'xxhash')])"
    assert python(code).stdout.strip() == "[]"
    code = "import sys, fanwise; fanwise.Cache; print([m for m in sys.modules if m in ('numpy', 'pandas', 'pyarrow', 'redis')])"
    assert python(code).stdout.strip() == "[]"


def test_a_failing_shared_level_is_a_miss(tmp_path: Path) -> None:
    shared = SharedDict()
    shared.error = ConnectionRefusedError("down")
    with Cache(tmp_path / "c", shared=shared) as cache:
        assert cache.get_or_compute("k", lambda: 1) == 1
        assert cache.get("k") == 1
        assert cache.stats().errors >= 1
    with pytest.raises(UsageError, match="shared: expected an object with get_many"):
        Cache(tmp_path / "c", shared=object())  # type: ignore[arg-type]


def test_bad_options_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for options in ({"memory": "12XB"}, {"disk": -1}, {"durability": "none"}, {"backend": "lmdb"}, {"codecs": [3]}):
        with pytest.raises(UsageError):
            Cache(tmp_path / "c", **options)  # type: ignore[arg-type]
    monkeypatch.setenv("FANWISE_CACHE_BACKEND", "files")
    with Cache(tmp_path / "c") as cache:
        assert cache.stats().backend == "files"
    monkeypatch.setenv("FANWISE_CACHE_BACKEND", "nonsense")
    with pytest.raises(UsageError, match="FANWISE_CACHE_BACKEND 'nonsense'"):
        Cache(tmp_path / "c")


def test_a_directory_of_files_stays_one(tmp_path: Path) -> None:
    with Cache(tmp_path / "c", backend="files") as cache:
        cache.put("a", 1)
    with Cache(tmp_path / "c") as cache:
        assert cache.stats().backend == "files"
        assert cache.get("a") == 1
    assert sys.platform != "linux" or Cache(tmp_path / "d").stats().backend == "index"
