"""How things travel: plain pickle first, cloudpickle where that fails or would name ``__main__``, buffers beside it.

Pickle writes ``__main__.f`` by reference without a word and only the worker fails: its ``__main__`` is another module.
So a stream that mentions ``__main__`` goes to cloudpickle (by value), unless the receiver was forked after the
definition. Buffers from 8 KiB on travel out of band and arrive as views into the received message.
"""

from __future__ import annotations

import functools
import io
import os
import pickle
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

from fanwise.errors import NotPicklableError
from fanwise.typing import Attachment

__all__ = [
    "Packed",
    "attach",
    "detach",
    "dumps",
    "dumps_by_value",
    "is_below",
    "is_plain",
    "loads",
    "pack_results",
    "register_attachment",
    "register_resolver",
]

Reduced = tuple[Any, ...] | str
Reduce = Callable[[Any], tuple[Sequence[Attachment], Reduced]]

_APART_FROM = 8 << 10
_PLAIN = frozenset({int, float, str, bytes, bool, type(None)})


class Accept(Protocol):
    """Takes over an attachment that has arrived; ``keep`` if it is for messages to come too, as in a worker."""

    def __call__(self, attachment: Attachment, *, keep: bool) -> None: ...


class _Resolver(NamedTuple):
    accept: Accept
    forget: Callable[[bytes], None]


_reduces: dict[type, Reduce] = {}
_resolvers: list[_Resolver] = []
_arrived: deque[tuple[Attachment, bool]] = deque()
"""Came before there was a resolver: a new worker imports it only with the first message that mentions an attachment."""


def register_attachment(kind: type, reduce: Reduce) -> None:
    """Let objects of a type travel as an open descriptor.

    Parameters
    ----------
    kind : type
        Exactly this type; subclasses are not meant.
    reduce : callable
        ``reduce(obj)`` returns each `Attachment` to hand over beside the message (once per worker) and the reduce value
        (as of ``__reduce__``) that finds it by its id at the other end.
    """
    _reduces[kind] = reduce


def register_resolver(accept: Accept, forget: Callable[[bytes], None]) -> None:
    """Have attachments that arrive, or have arrived already, taken over.

    Parameters
    ----------
    accept : callable
        Called with each attachment; its descriptor is the callee's to close.
    forget : callable
        Called with the id of an attachment whose owner has closed it.
    """
    _resolvers.append(_Resolver(accept, forget))
    _deliver()


def attach(attachment: Attachment, *, keep: bool) -> None:
    """Hand an attachment that has arrived to whom it concerns, as soon as that is here."""
    _arrived.append((attachment, keep))
    _deliver()


def _deliver() -> None:
    while _resolvers and _arrived:
        attachment, keep = _arrived.popleft()
        _resolvers[-1].accept(attachment, keep=keep)


def detach(id: bytes) -> None:
    """Its owner has closed an attachment: nobody will mention it again."""
    for arrived in [arrived for arrived in _arrived if arrived[0].id == id]:
        _arrived.remove(arrived)
        os.close(arrived[0].fd)
    for resolver in _resolvers:
        resolver.forget(id)


@dataclass(slots=True)
class Packed:
    """A pickle, the buffers that travel beside it, and the attachments it mentions."""

    data: bytes = b""
    buffers: list[memoryview] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    reduced: bool = False  # a reducer of some class was asked, so that loading may fail

    @property
    def size(self) -> int:
        """Bytes of the pickle and its buffers."""
        return len(self.data) + sum(view.nbytes for view in self.buffers)

    def keep(self, buffer: pickle.PickleBuffer) -> bool:
        """Buffer callback: take large buffers, leave small ones in the stream."""
        view = buffer.raw()
        if view.nbytes < _APART_FROM:
            return True
        self.buffers.append(view)
        return False

    def reduce(self, obj: Any) -> Any:
        """Reduce a registered type to its attachment; everything else is left to pickle."""
        self.reduced = True
        reduce = _reduces.get(type(obj))
        if reduce is None:
            return NotImplemented
        attachments, reduced = reduce(obj)
        self.attachments += attachments
        return reduced


class _Plain(pickle.Pickler):
    """The C pickler, told apart from `pickle.dumps` by noticing whether a reducer was needed."""

    packed: Packed

    def reducer_override(self, obj: Any) -> Any:
        return self.packed.reduce(obj)


def dumps(obj: Any, *, main_by_value: bool, noticing: bool = False) -> Packed:
    """Pickle an object by the first way that works.

    Parameters
    ----------
    obj : object
        What is to travel.
    main_by_value : bool
        True unless the receiver knows the same ``__main__``: then its functions and classes go by value.
    noticing : bool
        Also find out whether a reducer was called (`Packed.reduced`).

    Raises
    ------
    NotPicklableError
        If neither pickle nor cloudpickle can.
    """
    with suppress(Exception):  # whatever a reducer raises, the second way is tried and reports
        packed = _dump_plain(obj, noticing=noticing)
        if not (main_by_value and b"__main__" in packed.data):
            return packed
    return dumps_by_value(obj)


def _dump_plain(obj: Any, *, noticing: bool) -> Packed:
    packed = Packed()
    if noticing or _reduces:
        file = io.BytesIO()
        pickler = _Plain(file, 5, buffer_callback=packed.keep)
        pickler.packed = packed
        pickler.dump(obj)
        packed.data = file.getvalue()
    else:
        packed.data = pickle.dumps(obj, 5, buffer_callback=packed.keep)
    return packed


def dumps_by_value(obj: Any) -> Packed:
    """Pickle an object by cloudpickle. Raises like `dumps`."""
    packed = Packed(reduced=True)
    file = io.BytesIO()
    try:
        pickler = _by_value()(file, 5, buffer_callback=packed.keep)
        pickler.packed = packed
        pickler.dump(obj)
    except Exception as error:
        raise NotPicklableError(f"{type(error).__name__}: {error}") from error
    packed.data = file.getvalue()
    return packed


class _Scale(io.BytesIO):
    """A file that holds so many bytes, those of buffers included."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.left = most

    def write(self, data: Any) -> int:
        self._weigh(memoryview(data).nbytes)
        return super().write(data)

    def keep(self, buffer: pickle.PickleBuffer) -> bool:
        """Buffer callback: count it, leave it where it is."""
        self._weigh(buffer.raw().nbytes)
        return False

    def _weigh(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise OverflowError("more than is allowed")


def is_below(obj: Any, most: int) -> bool:
    """Whether what would travel of an object is at most so many bytes; looking ends where it is more."""
    for by_value in (False, True):
        scale = _Scale(most)
        with suppress(Exception):  # whatever a reducer raises, the second way is tried
            pickler = (_by_value() if by_value else _Plain)(scale, 5, buffer_callback=scale.keep)
            pickler.packed = Packed()
            pickler.dump(obj)
            if by_value or b"__main__" not in scale.getvalue():
                return True
        if scale.left < 0:
            return False
    return False


class _ByValue:
    """Makes the cloudpickle pickler when it is first needed: importing it costs 10 ms."""

    made: ClassVar[Any] = None


def _by_value() -> Any:
    if _ByValue.made is None:
        import cloudpickle

        class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
            packed: Packed

            def reducer_override(self, obj: Any) -> Any:
                reduced = self.packed.reduce(obj)
                if reduced is NotImplemented and type(obj) is _Remembering and not _has_a_name_there(obj):
                    return _remembering_again, (obj.__wrapped__, obj.cache_parameters())
                return super().reducer_override(obj) if reduced is NotImplemented else reduced

        _ByValue.made = Pickler
    return _ByValue.made


_Remembering = type(functools.lru_cache(len))
"""Pickled by name alone; cloudpickle does not look inside."""


def _has_a_name_there(obj: Any) -> bool:
    """Whether the other side finds an object under its module and name; ``__main__`` is another module there."""
    module = getattr(obj, "__module__", None)
    found: Any = None if module == "__main__" else sys.modules.get(module or "")
    for part in getattr(obj, "__qualname__", "").split("."):
        found = getattr(found, part, None)
    return found is obj


def _remembering_again(fn: Callable[..., Any], parameters: dict[str, Any]) -> Callable[..., Any]:
    """A function under `functools.lru_cache` in another process, where nothing is remembered yet."""
    again: Callable[..., Any] = functools.lru_cache(**parameters)(fn)
    return again


def is_plain(values: Sequence[Any]) -> bool:
    """Whether all values are numbers, text, bytes or None, so that loading their pickle cannot fail."""
    return _PLAIN.issuperset(map(type, values))


def pack_results(values: Sequence[Any]) -> list[Packed | BaseException]:
    """Pickle results: in one pickle if no reducer is called, since loading cannot fail then; else one a value."""
    if is_plain(values):
        return [Packed(pickle.dumps(values, 5))]
    head = _pack_result(values[:1])
    if len(values) > 1 and isinstance(head, Packed) and not head.reduced:
        whole = _pack_result(values)
        if isinstance(whole, Packed) and not whole.reduced:
            return [whole]
    return [head, *(_pack_result([value]) for value in values[1:])]


def _pack_result(values: Sequence[Any]) -> Packed | BaseException:
    try:
        return dumps(values, main_by_value=False, noticing=True)
    except (NotPicklableError, SystemExit, KeyboardInterrupt) as error:  # a reducer may raise these: it is the item's
        return error


def loads(data: bytes | memoryview, buffers: Sequence[memoryview | bytearray] = ()) -> Any:
    """Load a pickle whose buffers travelled beside it."""
    return pickle.loads(data, buffers=buffers)
