"""The parts of the Dask backend that need no cluster: addresses, versions, letters, files by digest."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.crew_driver import work

import fanwise
from fanwise._api._hiring import prepare_bundles
from fanwise._memfd import make
from fanwise.backends._clusters import cluster
from fanwise.backends.dask import is_dask_client
from fanwise.backends.dask._address import comm_address, is_dask_url, warn_if_open
from fanwise.backends.process._messages import SECTIONS, decode_chunk
from fanwise.backends.process._pickling import loads
from fanwise.backends.process._wire import Frame, Kind
from fanwise.backends.remote import _blobs
from fanwise.backends.remote._letters import (
    Answer,
    Desk,
    Note,
    Script,
    digest_of,
    open_answer,
    pack_answer,
    pack_script,
    pieces,
)
from fanwise.backends.serial import SerialBackend
from fanwise.errors import BackendError, FanwiseWarning, UsageError
from fanwise.records.chunks import Chunk
from fanwise.typing import Attachment


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("dask://127.0.0.1:8786", "tcp://127.0.0.1:8786"),
        ("dask+tls://head.example:1/", "tls://head.example:1"),
        ("dask://[::1]:8786", "tcp://[::1]:8786"),
    ],
)
def test_urls_name_a_scheduler(url: str, address: str) -> None:
    assert is_dask_url(url)
    assert comm_address(url) == address


@pytest.mark.parametrize(
    "url", ["dask://host", "dask://:8786", "dask://host:0", "dask://host:70000", "dask://u@h:1", "dask:"]
)
def test_urls_that_name_none_are_refused_before_anything_is_imported(url: str) -> None:
    with pytest.raises(UsageError, match=r"expected dask://host:port, for example dask://127\.0\.0\.1:8786"):
        fanwise.map(abs, [1], backend=url)
    with pytest.raises(UsageError, match="expected dask://host:port"):
        fanwise.Executor(backend=f"dask://{url.partition(':')[2].strip('/')}" if "//" in url else "dask://")


def test_an_open_scheduler_on_a_network_is_warned_of() -> None:
    with pytest.warns(FanwiseWarning, match="not encrypted and anyone who reaches it can run code"):
        warn_if_open("dask://10.0.0.5:8786")
    for quiet in ("dask://127.0.0.1:1", "dask://localhost:1", "dask://[::1]:1", "dask+tls://10.0.0.5:1"):
        warn_if_open(quiet)


class TestVersions:
    HERE = {"python": "3.11", "fanwise": "1", "cloudpickle": "3", "numpy": "2"}

    def check(self, **there: Any) -> None:
        pytest.importorskip("distributed")
        from fanwise.backends.remote._versions import check_versions

        check_versions({"tcp://w:1": self.HERE | there}, self.HERE)

    def test_equal_ones_are_fine(self) -> None:
        self.check()

    def test_another_python_is_refused_with_a_table(self) -> None:
        with pytest.raises(BackendError, match=r"worker \| has \| caller has\ntcp://w:1 \| python 3.12 \| python 3.11"):
            self.check(python="3.12")

    def test_another_numpy_is_a_warning(self) -> None:
        with pytest.warns(FanwiseWarning, match="numpy 1 there, 2 here"):
            self.check(numpy="1")

    def test_a_worker_without_fanwise_is_refused(self) -> None:
        from fanwise.backends.remote._versions import check_versions

        with pytest.raises(BackendError, match="No module named 'fanwise'"):
            check_versions({"w": ModuleNotFoundError("No module named 'fanwise'")}, self.HERE)


def test_a_client_is_told_by_its_class_alone() -> None:
    assert not is_dask_client(object())
    assert is_dask_client(type("Client", (), {"__module__": "distributed.client"})())


def test_inside_a_worker_items_run_in_the_task_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    from fanwise import _task

    monkeypatch.setattr(_task, "budget", lambda: 1)
    assert isinstance(cluster("dask://127.0.0.1:1", workers=None), SerialBackend)


def opened(payload: bytes, flags: int) -> list[Any]:
    head = decode_chunk(Frame(Kind.CHUNK, flags, 1, memoryview(bytearray(payload)), lasting=True))
    return [item for part in head.ranges if part.section for item in loads(*part.section)]


class TestLetters:
    @given(items=st.lists(st.one_of(st.integers(), st.text(), st.binary(max_size=20_000)), min_size=1, max_size=30))
    def test_items_arrive_as_they_were(self, items: list[Any]) -> None:
        desk = Desk(work(repr, items), 30.0)
        letter = desk.write(Chunk(1, 0, len(items)))
        assert opened(letter.payload, letter.flags) == items
        singly = desk.write_singly(Chunk(1, 0, len(items)))
        assert singly.flags == SECTIONS
        assert opened(singly.payload, singly.flags) == items

    def test_what_cannot_be_pickled_is_left_out_and_named(self) -> None:
        import threading

        letter = Desk(work(repr, [1, threading.Lock(), 3]), 30.0).write(Chunk(1, 0, 3))
        assert opened(letter.payload, letter.flags) == [1, 3]
        ((index, error),) = letter.unsendable
        assert index == 1
        assert "items[1] is a _thread.lock" in str(error)

    def test_equal_functions_have_equal_scripts_and_others_do_not(self) -> None:
        first, again, other = (Desk(work(fn, []), 30.0).script for fn in (abs, abs, repr))
        assert first == again
        assert first.digest != other.digest
        assert Script(*pickle.loads(pack_script(first))) == first

    def test_bundles_are_mentioned_by_the_id_they_have_in_a_file(self) -> None:
        with fanwise.freeze({"x": b"y" * 10_000}) as bundle:
            prepare_bundles()
            letter = Desk(work(repr, [bundle]), 30.0).write(Chunk(1, 0, 1))
            ((need, attachment),) = letter.bundles
            assert need.id in letter.payload
            assert attachment.id not in letter.payload
            assert need.size == attachment.size > 10_000
            assert need.digest == digest_of(pieces(attachment, 1000))

    def test_answers_are_bytes(self) -> None:
        answer = Answer(4711, [(Note.RETURNED, 3), (Note.PRINTED, 1, "x\n")])
        assert open_answer(pack_answer(answer)) == answer


class TestBlobs:
    @pytest.fixture(autouse=True)
    def _home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FANWISE_CACHE_DIR", str(tmp_path))

    def test_a_file_is_whole_verified_and_read_only(self) -> None:
        data = os.urandom(5000)
        digest = digest_of([data])
        assert not _blobs.has_blob(digest, 5000)
        for _ in range(2):
            _blobs.store_blob(digest, 5000, data[:3000], data[3000:])
        assert _blobs.has_blob(digest, 5000)
        (path,) = Path(_blobs.folder()).iterdir()
        assert path.read_bytes() == data
        assert path.stat().st_mode & 0o777 == 0o400

    def test_other_bytes_are_refused(self) -> None:
        with pytest.raises(BackendError, match="did not arrive whole"):
            _blobs.store_blob(digest_of([b"a"]), 1, b"b")
        assert not list(Path(_blobs.folder()).iterdir())

    def test_a_file_that_others_could_change_is_not_used(self) -> None:
        digest = digest_of([b"abc"])
        _blobs.store_blob(digest, 3, b"abc")
        (path,) = Path(_blobs.folder()).iterdir()
        path.chmod(0o600)
        assert not _blobs.has_blob(digest, 3)

    def test_what_was_used_lately_is_kept_and_the_rest_makes_room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in (b"old", b"new"):
            _blobs.store_blob(digest_of([name]), 3, name)
        long_ago = time.time() - 3600
        os.utime(Path(_blobs.folder()) / f"{digest_of([b'old']).hex()}.fwb", (long_ago, long_ago))
        monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=0, f_frsize=1))
        _blobs.store_blob(digest_of([b"now"]), 3, b"now")
        assert [_blobs.has_blob(digest_of([name]), 3) for name in (b"old", b"new", b"now")] == [False, True, True]

    def test_an_attachment_is_read_in_pieces(self) -> None:
        fd = make([b"0123456789"])
        try:
            assert list(pieces(Attachment(b"i" * 16, fd, 10), 4)) == [b"0123", b"4567", b"89"]
        finally:
            os.close(fd)
