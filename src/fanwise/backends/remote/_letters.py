"""What travels between a caller and its agents on the workers of a cluster: bytes and numbers only.

No class of the user is pickled or loaded by the cluster itself: functions, items, results and exceptions are encoded by the
codec of the process backend, in the caller and in the worker process that runs the item.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any, NamedTuple

from fanwise.backends.process._culprit import explain
from fanwise.backends.process._messages import BARE_BELOW, BARE_CHUNK, SECTIONS, FunctionOptions, encode_chunk
from fanwise.backends.process._parcel import Numbering, pack_function
from fanwise.backends.process._pickling import Packed, dumps
from fanwise.backends.process._state import Place, State
from fanwise.errors import NotPicklableError
from fanwise.records.chunks import Chunk
from fanwise.typing import Attachment, Work

__all__ = [
    "Answer",
    "Desk",
    "Letter",
    "Need",
    "Note",
    "Order",
    "Script",
    "digest_of",
    "open_answer",
    "pack_answer",
    "pack_script",
    "pieces",
]

_SEALED = 4  # the bit of a bundle's id that says its memory is sealed: a file of another host never is
_HASHED_AT_ONCE = 4 << 20


class Note:
    """What an answer tells, in the order in which it happened: the first entry of each of its tuples."""

    RESULTS = 1  # flags, payload
    ATTACHED = 2  # id, bytes
    RETURNED = 3  # first
    REFUSED = 4  # the items do not load together; or never will: the exception, encoded, or None
    FAULTY = 5  # the function does not load: its exception, encoded
    DIED = 6  # reason, index or None, last words, output, idle
    PRINTED = 7  # descriptor, text
    LACKS = 8  # digest of what is not on this host (b"": the script of the run)


class Need(NamedTuple):
    """Something that a host must have before it can run a chunk: a bundle by its digest, known to messages by its id."""

    id: bytes
    digest: bytes
    size: int


class Order(NamedTuple):
    """A chunk as it is given to an agent; its payload goes beside it."""

    run: bytes
    chunk: int
    first: int
    items: int
    flags: int
    needs: tuple[Need, ...] = ()


class Answer(NamedTuple):
    """What became of it: process id of the worker that ran it, and the notes."""

    pid: int | None
    notes: list[tuple[Any, ...]]


class Script(NamedTuple):
    """What an agent needs to know of a run: the function, the caller's directory and the state of its interpreter.

    The directory is where items run if a worker's host has it: relative paths then mean what they mean to the caller.
    """

    number: int
    digest: bytes
    options: FunctionOptions
    data: bytes
    buffers: tuple[bytes, ...]
    cwd: str
    state: bytes
    needs: tuple[Need, ...]
    lease_s: float


class Letter(NamedTuple):
    """The items of a chunk, pickled, with the bundles they mention; and those that cannot be."""

    payload: bytes
    flags: int
    bundles: Sequence[tuple[Need, Attachment]]
    unsendable: Sequence[tuple[int, BaseException]] = ()


class Desk:
    """Writes the letters of one run."""

    def __init__(self, work: Work, lease_s: float) -> None:
        self._work = work
        self._lease_s = lease_s
        self._digests: dict[bytes, bytes] = {}
        self.by_value = False
        self.bundles: list[tuple[Need, Attachment]] = []
        self.script = self._write_script()

    def send_module(self) -> None:
        """Pickle the function once more, together with the module that defines it: a worker could not import that."""
        self.by_value = True
        self.script = self._write_script()

    def _write_script(self) -> Script:
        parcel = pack_function(self._work, Numbering(), isolate=self._work.isolate, by_value=self.by_value)
        packed, self.bundles = self._unsealed(parcel.packed)
        buffers = tuple(bytes(view) for view in packed.buffers)
        state = dumps(State.here(), main_by_value=True).data
        cwd = Place.here().cwd
        digest = digest_of([repr((parcel.options, cwd)).encode(), packed.data, *buffers, state])
        needs = tuple(need for need, _ in self.bundles)
        number = int.from_bytes(digest[:4], "little")
        return Script(number, digest, parcel.options, packed.data, buffers, cwd, state, needs, self._lease_s)

    def write(self, chunk: Chunk) -> Letter:
        """A chunk as one pickle; item by item if that cannot be."""
        try:
            packed = dumps(self._work.take(chunk.first, chunk.count), main_by_value=True)
        except NotPicklableError:
            return self.write_singly(chunk)
        packed, bundles = self._unsealed(packed)
        if not packed.buffers and len(packed.data) < BARE_BELOW:
            head = BARE_CHUNK.pack(self.script.number, chunk.attempt, chunk.first, chunk.count)
            return Letter(head + packed.data, 0, bundles)
        return self._in_sections(chunk, [(chunk.first, chunk.count)], [packed], bundles)

    def write_singly(self, chunk: Chunk) -> Letter:
        """A chunk with one pickle an item, without those that have none."""
        found: list[tuple[int, Packed]] = []
        unsendable: list[tuple[int, NotPicklableError]] = []
        bundles: list[tuple[Need, Attachment]] = []
        for index in range(chunk.first, chunk.first + chunk.count):
            (item,) = self._work.take(index, 1)
            try:
                packed, mentioned = self._unsealed(dumps([item], main_by_value=True))
            except NotPicklableError as error:
                unsendable.append((index, explain(item, f"items[{index}]", error)))
                continue
            found.append((index, packed))
            bundles += mentioned
        ranges = [(index, 1) for index, _ in found]
        letter = self._in_sections(chunk, ranges, [packed for _, packed in found], bundles)
        return letter._replace(unsendable=unsendable)

    def _in_sections(
        self,
        chunk: Chunk,
        ranges: Sequence[tuple[int, int]],
        packs: Sequence[Packed],
        bundles: Sequence[tuple[Need, Attachment]],
    ) -> Letter:
        parts = encode_chunk(self.script.number, chunk.attempt, ranges, packs)
        return Letter(b"".join(parts), SECTIONS, bundles)

    def _unsealed(self, packed: Packed) -> tuple[Packed, list[tuple[Need, Attachment]]]:
        """The pickle with the ids that its bundles have where they lie in files, and what the hosts need.

        Fifteen of the sixteen bytes of an id are random, so that it occurs in a pickle where it is meant only.
        """
        bundles = []
        for attachment in packed.attachments:
            id = attachment.id[:-1] + bytes([attachment.id[-1] & ~_SEALED])
            packed = replace(packed, data=packed.data.replace(attachment.id, id))
            bundles.append((Need(id, self._digest(attachment), attachment.size), attachment))
        return packed, bundles

    def _digest(self, attachment: Attachment) -> bytes:
        if attachment.id not in self._digests:
            self._digests[attachment.id] = digest_of(pieces(attachment, _HASHED_AT_ONCE))
        return self._digests[attachment.id]


def digest_of(parts: Iterable[bytes]) -> bytes:
    """128 bits of BLAKE2b."""
    hasher = blake2b(digest_size=16)
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def pieces(attachment: Attachment, size: int) -> Iterable[bytes]:
    """The bytes behind a descriptor, so many at a time."""
    for at in range(0, attachment.size, size):
        yield os.pread(attachment.fd, min(size, attachment.size - at), at)


def pack_script(script: Script) -> bytes:
    """The script of a run as bytes."""
    return pickle.dumps(tuple(script), 5)


def pack_answer(answer: Answer) -> bytes:
    """As one object that the cluster does not look into."""
    return pickle.dumps(tuple(answer), 5)


def open_answer(data: bytes) -> Answer:
    """What `pack_answer` packed."""
    return Answer(*pickle.loads(data))
