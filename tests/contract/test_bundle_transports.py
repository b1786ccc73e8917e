"""One suite for the three ways a bundle reaches another process: inherited, by sealed memory file, by private file."""

from __future__ import annotations

import gc
import io
import os
import pickle
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.contract.bundle_peers import Peer, forked, own_descriptors, spawned

from fanwise import Bundle, _memfd
from fanwise.bundle import forget, resolve, travelling
from fanwise.bundle._freezing import freeze_over
from fanwise.bundle._table import KEPT
from fanwise.bundle._transports import INHERITED, PRIVATE, SEALED, Transport
from fanwise.errors import BundleError

pytestmark = pytest.mark.process

TRANSPORTS = pytest.mark.parametrize("transport", [SEALED, PRIVATE, INHERITED], ids=lambda t: t.name)
BY_DESCRIPTOR = pytest.mark.parametrize("transport", [SEALED, PRIVATE], ids=lambda t: t.name)
Start = Callable[[], AbstractContextManager[Peer]]


@pytest.fixture(scope="module", autouse=True)
def thawed() -> None:
    """Not here, where garbage is collected at every step and no worker is forked."""


def market(transport: Transport) -> Bundle:
    return freeze_over(transport, {"prices": np.arange(6.0).reshape(2, 3), "note": b"hello"}, "market")


@pytest.fixture
def bundle(transport: Transport) -> Iterator[Bundle]:
    with market(transport) as made:
        yield made


@TRANSPORTS
def test_a_child_forked_after_the_freeze_reads_it(bundle: Bundle) -> None:
    with forked() as peer:
        assert peer.ask("read", bundle.attachment(), "prices") == bundle["prices"].tolist()
        assert peer.ask("digest", bundle.attachment()) == bundle.digest


@BY_DESCRIPTOR
@pytest.mark.parametrize("start", [forked, spawned])
def test_a_process_that_was_there_before_reads_it(transport: Transport, start: Start) -> None:
    with start() as peer, market(transport) as bundle:
        assert peer.ask("read", bundle.attachment(), "prices") == bundle["prices"].tolist()
        assert peer.ask("digest", bundle.attachment()) == bundle.digest
        assert peer.ask("repr", bundle.attachment()) == repr(bundle)


def test_an_inherited_bundle_does_not_reach_a_process_that_was_there_before() -> None:
    with forked() as peer, market(INHERITED) as bundle:
        assert bundle.attachment().fd == -1
        with pytest.raises(BundleError, match="not in this process, and no descriptor came"):
            peer.ask("read", bundle.attachment(), "prices")


@TRANSPORTS
def test_nobody_can_write(bundle: Bundle) -> None:
    with forked() as peer:
        assert not peer.ask("is_writeable", bundle.attachment(), "prices")
    assert bundle.reader.segment.view.readonly
    with pytest.raises(OSError, match=r"Operation not permitted|Bad file descriptor"):
        os.pwrite(bundle.reader.segment.descriptor(), b"x", 4096)


@TRANSPORTS
def test_code_that_writes_all_the_same_faults_in_its_own_process_and_changes_nothing(bundle: Bundle) -> None:
    before = bundle.reader.digest()
    with forked() as peer:
        peer.tell("crash", bundle.attachment(), "prices")
        with pytest.raises(EOFError):
            peer.hear()
    assert peer.status == -signal.SIGSEGV
    assert bundle.reader.digest() == before


@TRANSPORTS
def test_a_later_mention_needs_no_descriptor(bundle: Bundle) -> None:
    with forked() as peer:
        peer.ask("read", bundle.attachment(), "prices")
        assert peer.ask("read", bundle.attachment(), "prices", fd=-1) == bundle["prices"].tolist()


@BY_DESCRIPTOR
def test_a_process_maps_only_the_bundles_mentioned_last_and_the_others_again_when_they_are(
    transport: Transport,
) -> None:
    with forked() as peer:
        bundles = [market(transport) for _ in range(KEPT + 3)]
        for bundle in bundles:
            peer.ask("digest", bundle.attachment())
        last = bundles[-1].attachment()
        assert peer.ask("maps", last, fd=-1) == KEPT
        assert peer.ask("descriptors", last, fd=-1) == len(bundles)
        for bundle in bundles:
            assert peer.ask("kept", bundle.attachment(), "note", fd=-1) == b"hello"
        assert peer.ask("descriptors", last, fd=-1) == len(bundles)
        for bundle in bundles[:-1]:
            peer.ask("forget", bundle.attachment(), fd=-1)
        assert (peer.ask("descriptors", last, fd=-1), peer.ask("maps", last, fd=-1)) == (1, 1)
        for bundle in bundles:
            bundle.close()


@BY_DESCRIPTOR
def test_a_message_may_mention_more_bundles_than_are_kept(transport: Transport) -> None:
    with forked() as peer:
        bundles = [market(transport) for _ in range(KEPT + 3)]
        for bundle in bundles:
            peer.ask("accept", bundle.attachment())
        assert peer.ask("read all", bundles[0].attachment(), [b.id for b in bundles], fd=-1) == len(bundles)
        assert peer.ask("read all", bundles[0].attachment(), [b.id for b in bundles], fd=-1) == len(bundles)
        for bundle in bundles:
            bundle.close()


def test_what_arrived_wrong_is_told_to_the_message_that_mentions_it() -> None:
    with forked() as peer, market(SEALED) as bundle:
        wrong = _memfd.make([b"something else"])
        peer.ask("accept", bundle.attachment(), fd=wrong)
        os.close(wrong)
        for _ in range(2):
            with pytest.raises(BundleError, match="closed by its owner"):
                peer.ask("digest", bundle.attachment(), fd=-1)
        peer.ask("forget", bundle.attachment(), fd=-1)
        with pytest.raises(BundleError, match="not in this process"):
            peer.ask("digest", bundle.attachment(), fd=-1)
        assert peer.ask("digest", bundle.attachment()) == bundle.digest


def test_what_a_message_needs_of_a_bundle_is_its_id_and_the_attachment_keeps_it_open() -> None:
    (attachment,), (find, arguments) = travelling(market(SEALED))
    gc.collect()
    assert os.fstat(attachment.fd).st_size == attachment.size
    assert arguments == (attachment.id,)
    assert find(*arguments)["note"] == b"hello"


def test_a_further_item_that_mentions_a_bundle_costs_less_than_64_bytes() -> None:
    class Pickler(pickle.Pickler):
        def reducer_override(self, obj: object) -> object:
            return travelling(obj)[1] if isinstance(obj, Bundle) else NotImplemented

    def size(items: object) -> int:
        file = io.BytesIO()
        Pickler(file, 5).dump(items)
        return file.tell()

    with market(SEALED) as bundle:
        assert size([(bundle, 1), (bundle, 2)]) - size([(bundle, 1)]) < 20
        assert size((bundle, 1)) - size((None, 1)) < 64


@BY_DESCRIPTOR
def test_a_bundle_with_a_living_view_is_not_let_go(transport: Transport) -> None:
    with forked() as peer:
        bundles = [market(transport) for _ in range(KEPT + 3)]
        peer.ask("hold", bundles[0].attachment(), "prices")
        for bundle in bundles[1:]:
            peer.ask("digest", bundle.attachment())
        assert peer.ask("read", bundles[0].attachment(), "prices", fd=-1) == bundles[0]["prices"].tolist()
        for bundle in bundles:
            bundle.close()


@BY_DESCRIPTOR
def test_a_process_told_to_forget_lets_go(transport: Transport) -> None:
    with forked() as peer, market(transport) as bundle:
        peer.ask("digest", bundle.attachment())
        assert peer.ask("descriptors", bundle.attachment(), fd=-1) == 1
        peer.ask("forget", bundle.attachment(), fd=-1)
        with pytest.raises(BundleError, match="not in this process"):
            peer.ask("digest", bundle.attachment(), fd=-1)
        other = market(transport)
        assert peer.ask("descriptors", other.attachment()) == 1
        other.close()


@BY_DESCRIPTOR
def test_a_process_that_holds_a_view_keeps_the_memory_after_the_owner_is_gone(transport: Transport) -> None:
    with forked() as peer:
        bundle = market(transport)
        wanted = bundle["prices"].tolist()
        peer.ask("hold", bundle.attachment(), "prices")
        attachment = replace(bundle.attachment(), fd=-1)
        bundle.close()
        peer.ask("forget", attachment)
        with market(transport) as other:
            assert peer.ask("held", other.attachment()) == [wanted]


@BY_DESCRIPTOR
def test_a_receiver_has_one_descriptor_a_bundle_and_its_owner_two(transport: Transport) -> None:
    before = len(own_descriptors())
    with forked() as peer, market(transport) as bundle:
        assert len(own_descriptors()) - before == 2
        assert peer.ask("descriptors", bundle.attachment()) == before + 1
        for _ in range(3):
            assert peer.ask("descriptors", bundle.attachment()) == before + 1
    assert len(own_descriptors()) == before


def test_a_bundle_made_by_a_worker_travels_back() -> None:
    with forked() as peer:
        made = peer.make({"result": np.arange(4)})
        assert made.name == "made by a worker"
    assert made["result"].tolist() == [0, 1, 2, 3]
    made.close()


@BY_DESCRIPTOR
def test_a_bundle_that_was_received_can_be_handed_on(transport: Transport) -> None:
    with market(transport) as bundle:
        got = resolve(*_fields(bundle, os.dup(bundle.attachment().fd)), keep=False)
        assert got is bundle
    with forked() as first:
        received = first.make({"result": np.arange(4)})
        with forked() as second:
            assert second.ask("read", received.attachment(), "result") == [0, 1, 2, 3]
        received.close()


@BY_DESCRIPTOR
def test_a_killed_receiver_takes_nothing_with_it(bundle: Bundle) -> None:
    with forked() as peer:
        peer.tell("die", bundle.attachment())
        with pytest.raises(EOFError):
            peer.hear()
    with forked() as peer:
        assert peer.ask("read", bundle.attachment(), "prices") == bundle["prices"].tolist()


def test_a_receiver_killed_with_the_message_unread_leaves_no_descriptor() -> None:
    before = own_descriptors()
    with forked() as peer:
        os.kill(peer.pid, signal.SIGSTOP)
        with market(SEALED) as bundle:
            peer.tell("digest", bundle.attachment())
            os.kill(peer.pid, signal.SIGKILL)
    assert own_descriptors() == before


def _fields(bundle: Bundle, fd: int) -> tuple[bytes, int, int]:
    attachment = bundle.attachment()
    return attachment.id, fd, attachment.size


class TestWhatComesInsteadOfTheBundle:
    """The receiver looks before it maps, and closes what it was given."""

    @pytest.fixture(autouse=True)
    def closes_what_it_got(self) -> Iterator[None]:
        before = own_descriptors()
        yield
        gc.collect()
        assert own_descriptors() == before

    @pytest.fixture
    def gone(self) -> tuple[bytes, int, bytes]:
        """Id, size and bytes of a bundle that this process has no more."""
        with market(SEALED) as bundle:
            return bundle.attachment().id, bundle.attachment().size, bytes(bundle.reader.segment.view)

    def test_memory_that_is_not_sealed(self, gone: tuple[bytes, int, bytes]) -> None:
        id, size, content = gone
        with pytest.raises(BundleError, match="not sealed"):
            resolve(id, _memfd.make([content]), size)

    def test_memory_of_another_size(self, gone: tuple[bytes, int, bytes]) -> None:
        id, size, content = gone
        with pytest.raises(BundleError, match="closed by its owner"):
            resolve(id, _memfd.make([content, b"more"], frozen=True), size)

    def test_another_bundle(self, gone: tuple[bytes, int, bytes]) -> None:
        _, size, content = gone
        with pytest.raises(BundleError, match="closed by its owner"):
            resolve(bytes(15) + b"\x05", _memfd.make([content], frozen=True), size)

    def test_no_bundle_at_all(self, gone: tuple[bytes, int, bytes]) -> None:
        id, size, _ = gone
        with pytest.raises(BundleError, match="not a fanwise bundle"):
            resolve(id, _memfd.make([bytes(size)], frozen=True), size)

    def test_a_pipe(self, gone: tuple[bytes, int, bytes]) -> None:
        id, size, _ = gone
        reader, writer = os.pipe()
        os.close(writer)
        with pytest.raises(BundleError, match="closed by its owner"):
            resolve(id, reader, size)

    def test_the_same_bundle_once_more(self) -> None:
        with market(SEALED) as bundle:
            for _ in range(3):
                assert resolve(*_fields(bundle, os.dup(bundle.attachment().fd))) is bundle
            forget(bundle.attachment().id)


def test_a_private_file_has_no_name_and_nobody_may_open_it_for_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with market(PRIVATE) as bundle:
        status = os.fstat(bundle.attachment().fd)
        assert (status.st_nlink, status.st_mode & 0o777) == (0, 0o400)
        assert os.listdir(tmp_path) == []


def test_a_private_file_lies_where_the_session_keeps_such_things(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", os.fspath(tmp_path))
    with market(PRIVATE) as bundle:
        assert os.readlink(f"/proc/self/fd/{bundle.attachment().fd}").startswith(os.fspath(tmp_path))
        assert os.listdir(tmp_path) == []


def test_opened_files_travel_by_descriptor_and_keep_their_rules(tmp_path: Path) -> None:
    path = os.path.join(tmp_path, "saved.fwb")
    with freeze_over(SEALED, {"numbers": np.arange(3), "model": {"a": 1}}) as bundle:
        bundle.save(path)
    with forked() as peer:
        for trust in (False, True):
            with Bundle.open(path, trust=trust) as opened:
                os.replace(path, path + ".moved")
                assert peer.ask("read", opened.attachment(), "numbers") == [0, 1, 2]
                if trust:
                    assert peer.ask("kept", opened.attachment(), "model") == {"a": 1}
                else:
                    with pytest.raises(BundleError, match="entry 'model' is a pickle"):
                        peer.ask("kept", opened.attachment(), "model")
                os.replace(path + ".moved", path)
