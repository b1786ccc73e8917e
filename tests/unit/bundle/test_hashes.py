"""Checksums: values that others compute too, and what happens where `xxhash` is missing."""

from __future__ import annotations

import hashlib
import sys

import pytest

from fanwise.bundle import _hashes
from fanwise.errors import BundleError

TEXT = b"fanwise"


@pytest.fixture
def no_xxhash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xxhash", None)


def test_xxh3_is_preferred_and_known_by_its_published_test_value() -> None:
    pytest.importorskip("xxhash")
    hash = _hashes.preferred()
    assert (hash.name, hash.flag) == ("xxh3", 0)
    assert hash.sum64(b"") == 0x2D06800538D394C2  # xxHash's own sanity checks: XXH3_64bits of nothing, seed 0
    assert hash.new128().hexdigest() == "99aa06d3014798d86001c324468d497f"  # and XXH3_128bits


@pytest.mark.usefixtures("no_xxhash")
def test_without_xxhash_it_is_blake2b_little_endian() -> None:
    hash = _hashes.preferred()
    assert (hash.name, hash.flag) == ("blake2b", 2)
    assert hash.sum64(TEXT) == int.from_bytes(hashlib.blake2b(TEXT, digest_size=8).digest(), "little")
    assert hash.new128().digest() == hashlib.blake2b(b"", digest_size=16).digest()


def test_a_flag_says_which_hash_a_file_was_written_with() -> None:
    blake2b, xxh3 = _hashes.for_flags(2, "'f'", needed=True), _hashes.for_flags(1, "'f'", needed=True)
    assert blake2b is not None
    assert xxh3 is not None
    assert (blake2b.name, xxh3.name) == ("blake2b", "xxh3")


@pytest.mark.usefixtures("no_xxhash")
def test_without_xxhash_such_a_file_cannot_be_verified() -> None:
    with pytest.raises(BundleError, match=r"^'f.fwb' needs xxhash to be verified: pip install 'fanwise\[cache\]', or"):
        _hashes.for_flags(0, "'f.fwb'", needed=True)
    assert _hashes.for_flags(0, "'f.fwb'", needed=False) is None
