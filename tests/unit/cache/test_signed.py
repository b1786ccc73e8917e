"""Signed pickles: nothing is read that this secret did not sign, and the secret is nobody else's."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.cache._signed import MAC_BYTES, Signer, dump, load, local_secret, secret_path, shared_secret
from fanwise.errors import CacheError, UsageError

SECRET = bytes(range(32))
fields = st.lists(st.binary(max_size=20), max_size=5)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the secret of a user with an empty home is."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("FANWISE_CACHE_SECRET_FILE", raising=False)
    return tmp_path / "config" / "fanwise" / "cache.key"


def write(path: Path, content: bytes = SECRET, mode: int = 0o600) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


class TestMacs:
    @given(fields)
    def test_what_was_signed_is_accepted(self, parts: list[bytes]) -> None:
        signer = Signer(SECRET)
        mac = signer.mac(parts)
        assert len(mac) == MAC_BYTES
        assert signer.accepts(mac, parts)
        assert Signer(SECRET).accepts(memoryview(mac), [memoryview(part) for part in parts])

    @given(fields, fields)
    def test_no_two_lists_of_fields_read_the_same(self, one: list[bytes], two: list[bytes]) -> None:
        assert Signer(SECRET).accepts(Signer(SECRET).mac(one), two) is (one == two)

    @pytest.mark.parametrize(
        ("one", "two"),
        [([b"ab", b"c"], [b"a", b"bc"]), ([b"ab"], [b"a", b"b"]), ([b""], []), ([b"", b"a"], [b"a", b""])],
        ids=["another cut", "one or two", "nothing or none", "another order"],
    )
    def test_the_borders_of_fields_count(self, one: list[bytes], two: list[bytes]) -> None:
        assert Signer(SECRET).mac(one) != Signer(SECRET).mac(two)

    @given(fields, st.integers(0, MAC_BYTES * 8 - 1))
    def test_a_changed_bit_is_refused(self, parts: list[bytes], bit: int) -> None:
        mac = bytearray(Signer(SECRET).mac(parts))
        mac[bit // 8] ^= 1 << bit % 8
        assert not Signer(SECRET).accepts(mac, parts)

    @pytest.mark.parametrize("size", [0, 1, MAC_BYTES - 1])
    def test_a_mac_that_is_cut_is_refused(self, size: int) -> None:
        signer = Signer(SECRET)
        assert not signer.accepts(signer.mac([b"x"])[:size], [b"x"])

    @given(st.binary(min_size=32, max_size=64), st.binary(min_size=32, max_size=64))
    def test_another_secret_signs_otherwise(self, one: bytes, two: bytes) -> None:
        assert (Signer(one).mac([b"x"]) == Signer(two).mac([b"x"])) is (one == two)


class Raises:
    """Raises an error of a kind from its own pickling."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __reduce__(self) -> NoReturn:
        raise self.error("mine")


class Gone:
    """Stands for a class that a later version no longer has."""


class Picky:
    """Refuses its own state."""

    def __init__(self) -> None:
        self.x = 1

    def __setstate__(self, state: Any) -> NoReturn:
        raise KeyError(*state)


class TestPickles:
    @pytest.mark.parametrize("value", [None, [1, {"a": (2,)}], {1, 2}, 1j, "text", int, len])
    def test_what_was_dumped_is_loaded(self, value: Any) -> None:
        content = dump(value)
        assert content is not None
        assert load(memoryview(content)) == value

    @pytest.mark.parametrize(
        "error", [ValueError, TypeError, RuntimeError, AttributeError, KeyError, OSError, EOFError]
    )
    def test_a_value_that_raises_has_no_pickle(self, error: type[Exception]) -> None:
        assert dump(Raises(error)) is None

    @pytest.mark.parametrize(
        "make", [lambda: lambda: 1, threading.Lock, lambda: (n for n in [1])], ids=["function", "lock", "generator"]
    )
    def test_what_cannot_be_pickled_has_none(self, make: Callable[[], Any]) -> None:
        assert dump([make()]) is None

    def test_a_class_that_is_gone_is_a_damaged_entry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        content = dump(Gone())
        assert content is not None
        monkeypatch.delitem(globals(), "Gone")
        with pytest.raises(CacheError, match=r"cannot be read any more.*Gone"):
            load(content)

    def test_a_class_that_refuses_its_state_is_a_damaged_entry(self) -> None:
        content = dump(Picky())
        assert content is not None
        with pytest.raises(CacheError, match="cannot be read any more"):
            load(content)

    @given(st.data())
    def test_a_pickle_that_is_cut_is_a_damaged_entry(self, data: st.DataObject) -> None:
        content = dump(["text", 1, 2.5, {"a": b"x"}])
        assert content is not None
        with pytest.raises(CacheError):
            load(content[: data.draw(st.integers(0, len(content) - 1))])


class TestTheSecret:
    def test_it_is_made_once_for_this_user_alone(self, path: Path) -> None:
        assert local_secret(make=False) is None
        first = local_secret(make=True)
        assert first is not None
        assert len(first) == 32
        assert local_secret(make=True) == local_secret(make=False) == first
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert os.listdir(path.parent) == ["cache.key"]

    def test_another_user_has_another(self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = local_secret(make=True)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
        assert local_secret(make=True) != first

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
    def test_one_that_others_can_read_is_refused_with_what_to_type(self, path: Path, mode: int) -> None:
        write(path, mode=mode)
        with pytest.raises(UsageError, match=r"can be read by others: .*chmod 600"):
            local_secret(make=True)

    @pytest.mark.parametrize("size", [0, 1, 31])
    def test_a_short_one_is_refused_with_its_length(self, path: Path, size: int) -> None:
        write(path, bytes(size))
        with pytest.raises(UsageError, match=f"has {size} bytes; at least 32 are needed"):
            local_secret(make=True)

    @pytest.mark.parametrize("size", [32, 33, 4096])
    def test_a_longer_one_counts_whole(self, path: Path, size: int) -> None:
        write(path, bytes(range(256)) * 16 if size == 4096 else bytes(size))
        secret = local_secret(make=False)
        assert secret is not None
        assert len(secret) == size

    @pytest.mark.parametrize("target", ["there", "nowhere"])
    def test_a_link_is_not_followed(self, path: Path, tmp_path: Path, target: str) -> None:
        write(tmp_path / "there")
        path.parent.mkdir(parents=True)
        path.symlink_to(tmp_path / target)
        with pytest.raises(UsageError, match="cannot be read: Too many levels of symbolic links"):
            local_secret(make=True)
        assert not (tmp_path / "nowhere").exists()

    def test_who_comes_second_takes_the_first_ones(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fsync = os.fsync

        def meanwhile(fd: int) -> None:
            write(path)
            fsync(fd)

        monkeypatch.setattr(os, "fsync", meanwhile)
        assert local_secret(make=True) == SECRET
        assert os.listdir(path.parent) == ["cache.key"]

    def test_a_full_disk_leaves_neither_secret_nor_draft(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            local_secret(make=True)
        assert os.listdir(path.parent) == []

    def test_the_home_directory_is_where_nothing_else_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert secret_path() == str(tmp_path / ".config" / "fanwise" / "cache.key")


class TestTheSharedSecret:
    def test_the_named_file_comes_before_the_users_own(
        self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(path)
        assert shared_secret() == SECRET
        write(tmp_path / "team", b"t" * 40)
        monkeypatch.setenv("FANWISE_CACHE_SECRET_FILE", str(tmp_path / "team"))
        assert shared_secret() == b"t" * 40

    def test_none_is_made(self, path: Path) -> None:
        assert shared_secret() is None
        assert not path.exists()

    def test_a_named_file_that_is_missing_is_said(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FANWISE_CACHE_SECRET_FILE", "/nowhere/team")
        with pytest.raises(UsageError, match="'/nowhere/team' cannot be read: No such file"):
            shared_secret()
