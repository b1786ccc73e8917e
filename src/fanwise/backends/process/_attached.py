"""What travels beside messages: each attachment goes to a worker once, and word follows when its owner has closed it."""

from __future__ import annotations

import errno
import weakref
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fanwise.backends.process._messages import ID_BYTES, encode_attachments
from fanwise.backends.process._pickling import detach
from fanwise.backends.process._wire import Channel, Frame, Kind
from fanwise.typing import Attachment

__all__ = [
    "FUNCTIONS_TOO",
    "Attached",
    "Carried",
    "Teller",
    "announce",
    "detach_all",
    "forget_attachment",
    "send_attachments",
]

FUNCTIONS_TOO = 1
"""Flag of a frame of ids to forget: the functions sent so far go as well, for they may hold what is to be let go."""
_AT_ONCE = 60  # descriptors that fit beside one message, less the message's own
_NO_DESCRIPTOR = frozenset({errno.EBADF, errno.EMFILE, errno.ENFILE})


class Teller(Protocol):
    """Has workers that nobody drives at the moment."""

    def tell(self) -> None:
        """Send them what they are to know."""


_all: weakref.WeakValueDictionary[int, Attached] = weakref.WeakValueDictionary()
_tellers: weakref.WeakValueDictionary[int, Teller] = weakref.WeakValueDictionary()


def announce(teller: Teller) -> None:
    """Have ``teller.tell()`` called when an owner has closed an attachment."""
    _tellers[id(teller)] = teller


def forget_attachment(id: bytes) -> None:
    """An owner has closed what it attached: the workers that have it are told, busy ones when they are heard next.

    Called from anywhere, the garbage collector included, so that nothing here waits for a lock.
    """
    for reference in _all.valuerefs():
        attached = reference()
        if attached is not None:
            attached.close(id)
    for teller in _tellers.valuerefs():
        found = teller()
        if found is not None:
            found.tell()


@dataclass(slots=True)
class Carried:
    """An attachment that messages of one run mentioned: how often it was sent, and which workers had it."""

    attachment: Attachment
    sent: int = 0
    workers: set[int] = field(default_factory=set)


class Attached:
    """The attachments that one worker has."""

    def __init__(self) -> None:
        self._ids: set[bytes] = set()
        self._closed: deque[bytes] = deque()
        _all[id(self)] = self

    def __repr__(self) -> str:
        return f"<Attached {len(self._ids)}, {len(self._closed)} of them closed>"

    def send(self, channel: Channel, attachments: Sequence[Attachment]) -> Collection[bytes]:
        """Hand over what the worker does not have; the answer is the ids of that."""
        new = {a.id: a for a in attachments if a.id not in self._ids}
        if new:
            send_attachments(channel, list(new.values()))
            self._ids.update(new)
        return new.keys()

    def forget_all(self) -> None:
        """The worker may have missed some: each is sent again when it is mentioned again."""
        self._ids.clear()

    def close(self, id: bytes) -> None:
        """The owner of an attachment has closed it."""
        if id in self._ids:
            self._closed.append(id)

    @property
    def outdated(self) -> bool:
        """Whether the worker has what its owner has closed."""
        return bool(self._closed)

    def tell(self, channel: Channel, flags: int) -> None:
        """Tell the worker what to let go of."""
        ids = [self._closed.popleft() for _ in range(len(self._closed))]
        self._ids.difference_update(ids)
        channel.send(Kind.FORGET, ids, flags=flags)


def send_attachments(channel: Channel, attachments: Sequence[Attachment]) -> None:
    """Send attachments beside the message that is to follow.

    One without a descriptor is known to the receiver. If there is no descriptor to send it by, or its owner has closed
    it meanwhile, the receiver finds it missing when it reads the message, and says so.
    """
    new = list({a.id: a for a in attachments if a.fd >= 0}.values())
    for at in range(0, len(new), _AT_ONCE):
        some = new[at : at + _AT_ONCE]
        try:
            channel.send(Kind.ATTACH, encode_attachments(some), fds=[a.fd for a in some])
        except OSError as error:
            if error.errno not in _NO_DESCRIPTOR:
                raise


def detach_all(frame: Frame) -> None:
    """Let go of what a frame of ids names."""
    for at in range(0, len(frame.payload), ID_BYTES):
        detach(bytes(frame.payload[at : at + ID_BYTES]))
