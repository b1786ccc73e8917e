"""Where a cache lives and what it was asked to be: found, checked and said once."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import tempfile
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise._folders import cache_folder
from fanwise.cache._hashing import FOLDER
from fanwise.cache._home import SCHEMA, Home, is_network, present_backend
from fanwise.cache._settings import Settings, settings
from fanwise.cache._signed import secret_path
from fanwise.cache._stats import CacheStats, Counters
from fanwise.errors import CacheError, UsageError

USUAL: dict[str, Any] = {
    "memory": "64MiB",
    "disk": "2GiB",
    "shared": None,
    "pickle": False,
    "codecs": (),
    "durability": "process",
    "backend": "auto",
    "clock": None,
}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("FANWISE_CACHE_DIR", "XDG_CACHE_HOME", "FANWISE_CACHE_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def asked(path: Any = "c", **options: Any) -> Settings:
    return settings(path, **{**USUAL, **options})


def test_a_user_without_a_home_has_one_among_temporary_files_and_not_in_a_folder_called_tilde(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "FANWISE_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)  # as for a user number that a container was given
    home = os.path.join(tempfile.gettempdir(), f"fanwise-{os.getuid()}")
    assert cache_folder() == f"{home}/.cache/fanwise"
    assert secret_path() == f"{home}/.config/fanwise/cache.key"


class TestTheDefaultPath:
    @pytest.mark.parametrize(
        ("environment", "wanted"),
        [
            ({}, "{home}/.cache/fanwise"),
            ({"XDG_CACHE_HOME": "/x"}, "/x/fanwise"),
            ({"FANWISE_CACHE_DIR": "/y"}, "/y"),
            ({"FANWISE_CACHE_DIR": "/y", "XDG_CACHE_HOME": "/x"}, "/y"),
            ({"FANWISE_CACHE_DIR": "", "XDG_CACHE_HOME": ""}, "{home}/.cache/fanwise"),
        ],
        ids=["home", "XDG", "named", "named before XDG", "empty is unset"],
    )
    def test_the_most_special_name_wins(
        self, environment: dict[str, str], wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert cache_folder() == wanted.format(home=tmp_path / "home")
        assert asked(None).given is ("FANWISE_CACHE_DIR" in environment and bool(environment["FANWISE_CACHE_DIR"]))


class TestHomes:
    def test_it_is_made_only_when_asked(self, tmp_path: Path) -> None:
        home = Home(str(tmp_path / "c"))
        assert home.open(make=False) is None
        assert not (tmp_path / "c").exists()
        directory = home.open(make=True)
        assert directory is not None
        directory.close()
        assert (tmp_path / "c" / FOLDER).is_dir()

    def test_it_is_made_again_after_it_was_deleted(self, tmp_path: Path) -> None:
        home = Home(str(tmp_path / "c"))
        for _ in range(2):
            directory = home.open(make=True)
            assert directory is not None
            directory.close()
            shutil.rmtree(tmp_path / "c")
        assert home.writable

    def test_a_directory_without_a_folder_of_this_schema_is_empty(self, tmp_path: Path) -> None:
        (tmp_path / "c").mkdir(mode=0o700)
        assert Home(str(tmp_path / "c")).open(make=False) is None

    def test_a_folder_with_a_link_in_it_is_refused_and_closed(self, tmp_path: Path) -> None:
        (tmp_path / "c" / FOLDER).mkdir(parents=True, mode=0o700)
        (tmp_path / "c").chmod(0o700)
        (tmp_path / "c" / FOLDER / "index").symlink_to("/etc/hostname")
        before = set(os.listdir("/proc/self/fd"))
        with pytest.raises(CacheError, match="symbolic link"):
            Home(str(tmp_path / "c")).open(make=True)
        assert set(os.listdir("/proc/self/fd")) <= before

    def test_messages_call_it_what_the_user_called_it(self, tmp_path: Path) -> None:
        (tmp_path / "f").touch()
        with pytest.raises(CacheError, match=r"'\.fw' is a file"):
            Home(str(tmp_path / "f"), label=".fw").open(make=True)

    def test_a_place_that_cannot_be_written_is_known_from_then_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr(os, "mkdir", refuse)
        home = Home(str(tmp_path / "c"))
        assert home.writable
        assert home.open(make=True) is None
        assert not home.writable

    @pytest.mark.parametrize(
        ("name", "days", "goes"),
        [
            ("v0", 31, True),
            ("v0-blake2b", 31, True),
            ("v0", 29, False),
            ("v1", 31, False),
            ("v2", 31, False),
            ("v0-md5", 31, False),
            ("vx", 31, False),
            ("notes", 31, False),
        ],
    )
    def test_only_earlier_schemas_that_nobody_touched_go(
        self, tmp_path: Path, name: str, days: int, goes: bool
    ) -> None:
        home = Home(str(tmp_path / "c"))
        (tmp_path / "c" / name / "entries").mkdir(parents=True, mode=0o700)
        (tmp_path / "c").chmod(0o700)
        long_ago = time.time() - days * 86_400
        os.utime(tmp_path / "c" / name, (long_ago, long_ago))
        assert home.remove_old_schemas() == goes
        assert (tmp_path / "c" / name).exists() is not goes

    @pytest.mark.parametrize(
        ("made", "wanted"), [("index", "index"), ("entries", "files"), ("else", None), (None, None)]
    )
    def test_what_is_there_says_which_backend_wrote_it(
        self, tmp_path: Path, made: str | None, wanted: str | None
    ) -> None:
        if made is not None:
            (tmp_path / FOLDER / made).mkdir(parents=True)
        assert present_backend(str(tmp_path)) == wanted

    @pytest.mark.parametrize(
        ("kind", "wanted"),
        [
            *(
                (kind, True)
                for kind in ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse", "fuse.sshfs", "lustre", "virtiofs")
            ),
            *((kind, False) for kind in ("ext4", "xfs", "tmpfs", "overlay", "btrfs", "fuseblk", "nfsd")),
        ],
    )
    def test_the_kind_of_file_system_tells_whether_others_may_change_it(
        self, tmp_path: Path, kind: str, wanted: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        device = tmp_path.stat().st_dev
        table = tmp_path / "mountinfo"
        table.write_text(
            f"20 1 0:999 / /other rw - ext4 /dev/x rw\n"
            f"21 1 {os.major(device)}:{os.minor(device)} / /mnt rw,relatime shared:1 master:2 - {kind} server:/ rw\n"
        )
        real_open = open
        monkeypatch.setattr("builtins.open", lambda _path, **options: real_open(table, **options))
        assert is_network(str(tmp_path / "not" / "there" / "yet")) is wanted


class TestSettings:
    def test_sizes_are_bytes_and_paths_absolute(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        found = asked(Path("c"), memory="1KiB", disk=5)
        assert (found.path, found.label, found.memory, found.disk) == (str(tmp_path / "c"), "c", 1024, 5)
        assert (found.signed, found.durable, found.given, found.backend) == (False, False, True, "auto")

    def test_words_become_facts(self) -> None:
        found = asked(pickle="signed", durability="power", backend="files")
        assert (found.signed, found.durable, found.backend) == (True, True, "files")

    @pytest.mark.parametrize(
        ("options", "why"),
        [
            ({"pickle": True}, 'pickle=True: pass pickle="signed"'),
            ({"pickle": "yes"}, "pickle='yes'"),
            ({"pickle": None}, "pickle=None"),
            ({"durability": "disk"}, "durability 'disk': expected one of process, power"),
            ({"backend": "lmdb"}, "backend 'lmdb': expected one of auto, index, files"),
            ({"memory": "12XB"}, "memory '12XB': expected a number"),
            ({"memory": -1}, "memory -1: expected a number"),
            ({"disk": "-5MB"}, "disk '-5MB': expected a number"),
            ({"disk": True}, "disk True: expected a number"),
            ({"shared": object()}, "get_many, put_many, delete and stats, got object"),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
    )
    def test_what_cannot_be_is_refused_by_name(self, options: dict[str, Any], why: str) -> None:
        with pytest.raises(UsageError) as caught:
            asked(**options)
        assert why in str(caught.value)

    @pytest.mark.parametrize(
        ("named", "option", "wanted"),
        [("files", "auto", "files"), ("files", "index", "index"), ("", "auto", "auto"), ("auto", "auto", "auto")],
    )
    def test_the_environment_decides_what_the_call_leaves_open(
        self, named: str, option: str, wanted: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FANWISE_CACHE_BACKEND", named)
        assert asked(backend=option).backend == wanted

    def test_a_bad_word_of_the_environment_is_said_with_its_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FANWISE_CACHE_BACKEND", "redis")
        with pytest.raises(UsageError, match="FANWISE_CACHE_BACKEND 'redis'"):
            asked()


counts = st.lists(st.integers(0, 10**9), min_size=18, max_size=18).map(Counters.of)


def stats_of(counters: Counters) -> CacheStats:
    return CacheStats.of(counters, entries=1, bytes=2, bytes_memory=3, path="p", backend="index", schema=SCHEMA)


class TestCounters:
    @given(counts, counts)
    def test_a_difference_added_again_is_the_whole(self, one: Counters, two: Counters) -> None:
        assert two + (one - two) == one
        assert one + two == two + one
        assert one + Counters() == one

    @given(counts)
    def test_they_travel_as_numbers(self, counters: Counters) -> None:
        sent = [float(value) for value in counters.values()]
        assert Counters.of(sent) == counters
        assert [type(value) for value in Counters.of(sent).values()] == [int] * 16 + [float] * 2

    @pytest.mark.parametrize("size", [0, 17, 19])
    def test_another_number_of_counts_is_refused(self, size: int) -> None:
        with pytest.raises(ValueError, match="argument"):
            Counters.of([0.0] * size)

    def test_a_copy_does_not_follow_and_a_reset_is_zero(self) -> None:
        counters = Counters(misses=3, seconds_saved=1.5)
        copy = counters.copy()
        counters.misses += 1
        assert copy == Counters(misses=3, seconds_saved=1.5)
        counters.reset()
        assert counters == Counters()

    @given(counts)
    def test_the_hit_rate_is_a_share_of_all_look_ups(self, counters: Counters) -> None:
        stats = stats_of(counters)
        assert stats.hits == counters.hits == counters.hits_memory + counters.hits_disk + counters.hits_shared
        assert 0.0 <= stats.hit_rate <= 1.0
        assert (stats.hit_rate == 0.0) is (stats.hits == 0)

    @given(counts)
    def test_json_has_every_field(self, counters: Counters) -> None:
        stats = stats_of(counters)
        told = json.loads(stats.to_json())
        assert told.keys() == {field.name for field in fields(CacheStats)} | {"hits", "hit_rate"}
        assert all(told[field.name] == getattr(stats, field.name) for field in fields(CacheStats))

    @pytest.mark.parametrize("name", [field.name for field in fields(CacheStats)])
    def test_a_report_cannot_be_changed(self, name: str) -> None:
        stats = stats_of(Counters())
        with pytest.raises(AttributeError):
            setattr(stats, name, 1)
        with pytest.raises(AttributeError):
            delattr(stats, name)
