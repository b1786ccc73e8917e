"""Chunks on their way out: what a worker lacks is sent first, items that cannot be pickled are left out and named."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fanwise.backends.process._attached import Carried
from fanwise.backends.process._culprit import explain
from fanwise.backends.process._link import InFlight, Link
from fanwise.backends.process._messages import BARE_BELOW, BARE_CHUNK, SECTIONS, encode_chunk
from fanwise.backends.process._parcel import Parcel
from fanwise.backends.process._pickling import Packed, dumps, is_plain
from fanwise.backends.process._wire import Kind
from fanwise.errors import NotPicklableError
from fanwise.records.chunks import Chunk
from fanwise.typing import Attachment, Work

__all__ = ["Dispatcher"]


class _Load(NamedTuple):
    """The items of a chunk, pickled: which, and how; and those that cannot be."""

    ranges: list[tuple[int, int]]
    packs: list[Packed]
    unsendable: list[tuple[int, NotPicklableError]]

    def bare(self) -> bytes | None:
        """The one pickle that this is, if it is one that has nothing beside it and is not large."""
        if len(self.packs) == 1:
            only = self.packs[0]
            if not only.buffers and not only.attachments and len(only.data) < BARE_BELOW:
                return only.data
        return None


class Dispatcher:
    """Sends the chunks of one run."""

    def __init__(self, work: Work, number: int, parcel: Parcel | None, snapshot: Callable[[], bytes]) -> None:
        self.number = number  # of the function
        self.parcel = parcel  # None: only workers that inherit the function are used
        self._work = work
        self._snapshot = snapshot
        self.carried: dict[bytes, Carried] = {}

    def send(self, link: Link, chunk: Chunk) -> Sequence[tuple[int, NotPicklableError]]:
        """Send a chunk; return the items left out, each with the reason."""
        if link.introduced is not self:
            self._introduce(link)
        pickled = b""
        if not link.inherits:
            items = self._work.take(chunk.first, chunk.count)
            plain = pickle.dumps(items, 5) if type(items) is list and is_plain(items) else None
            if plain is None or len(plain) > BARE_BELOW:
                return self._post(link, chunk, self._load(link, chunk, items))
            pickled = plain
        payload = BARE_CHUNK.pack(self.number, chunk.attempt, chunk.first, chunk.count) + pickled
        link.channel.post(Kind.CHUNK, payload, chunk.id)
        link.in_flight[chunk.id] = InFlight(chunk)
        return ()

    def send_singly(self, link: Link, chunk: Chunk, *, inline: bool) -> Sequence[tuple[int, NotPicklableError]]:
        """Send a chunk again with one pickle an item, without a descriptor if the worker has none free."""
        return self._post(link, chunk, self._load_singly(link, chunk), inline=inline)

    def _post(
        self, link: Link, chunk: Chunk, load: _Load, *, inline: bool = False
    ) -> Sequence[tuple[int, NotPicklableError]]:
        if load.ranges:
            self._send_load(link, chunk, load, inline=inline)
            link.in_flight[chunk.id] = InFlight(chunk, load.ranges[0][0])
        return load.unsendable

    def _send_load(self, link: Link, chunk: Chunk, load: _Load, *, inline: bool) -> None:
        bare = load.bare()
        if bare is not None:
            payload = BARE_CHUNK.pack(self.number, chunk.attempt, *load.ranges[0]) + bare
            link.channel.post(Kind.CHUNK, payload, chunk.id)
            return
        self._attach(link, [attachment for packed in load.packs for attachment in packed.attachments])
        parts = encode_chunk(self.number, chunk.attempt, load.ranges, load.packs)
        send = link.channel.send_inline if inline else link.channel.send
        send(Kind.CHUNK, parts, chunk=chunk.id, flags=SECTIONS)

    def _attach(self, link: Link, attachments: Sequence[Attachment]) -> None:
        """Hand over what the next message mentions, and remember who has it."""
        new = link.attach(attachments)
        for attachment in {each.id: each for each in attachments}.values():
            carried = self.carried.setdefault(attachment.id, Carried(attachment))
            carried.workers.add(link.number)
            carried.sent += attachment.id in new and attachment.fd >= 0

    def introduce_again(self, link: Link, parcel: Parcel | None = None, *, inline: bool = False) -> None:
        """Send the function once more: in another form, or without a descriptor."""
        self.parcel = parcel or self.parcel
        if self.parcel is not None:
            self._attach(link, self.parcel.packed.attachments)
            parts = self.parcel.parts(self._snapshot())
            send = link.channel.send_inline if inline else link.channel.send
            send(Kind.FUNCTION, parts, chunk=self.number)

    def _introduce(self, link: Link) -> None:
        """Send the function and the caller's state, where the worker does not have them yet."""
        link.introduced = self
        if link.is_twin:
            return
        assert self.parcel is not None
        state = self._snapshot()
        if self.number in link.known and state == link.state:
            return
        self._attach(link, self.parcel.packed.attachments)
        parts = self.parcel.parts(b"" if state == link.state else state)
        link.channel.send(Kind.FUNCTION, parts, chunk=self.number)
        if self.number in link.known:
            link.known.remove(self.number)
        link.known.append(self.number)
        link.state = state

    def _load(self, link: Link, chunk: Chunk, items: Sequence[Any]) -> _Load:
        try:
            packed = dumps(items, main_by_value=not link.is_twin)
        except NotPicklableError:
            return self._load_singly(link, chunk)
        return _Load([(chunk.first, chunk.count)], [packed], [])

    def _load_singly(self, link: Link, chunk: Chunk) -> _Load:
        load = _Load([], [], [])
        for index in range(chunk.first, chunk.first + chunk.count):
            items = self._work.take(index, 1)
            try:
                load.packs.append(dumps(items, main_by_value=not link.is_twin))
            except NotPicklableError as error:
                load.unsendable.append((index, explain(items[0], f"items[{index}]", error)))
            else:
                load.ranges.append((index, 1))
        return load
