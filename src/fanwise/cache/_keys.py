"""Canonical keys: equal values have one key in every process, different values never share one.

A value is encoded as a tag byte and length-prefixed content, children in full, so that no two values of the supported
types share one; ``pickle``, ``repr``, ``str``, ``hash`` and ``id`` never take part. Members of sets and pairs of
dicts come in the order of their own encodings, hence independent of ``PYTHONHASHSEED`` and of insertion.

The walk keeps its own stack, so depth is limited by memory only. What a type contributes is one function each, in
`_plain_keys`, `_array_keys` and `_frame_keys`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from fanwise.cache._hashing import NAME, Buffer, digest128, digest_parts

__all__ = [
    "Code",
    "Done",
    "Encoded",
    "Encoder",
    "Handler",
    "Key",
    "Node",
    "Unkeyable",
    "class_name",
    "extension",
    "framed",
    "name_of",
    "text",
    "u64",
]

PREAMBLE = b"fanwise-key-1" + NAME.encode()
SMALL = 1 << 12  # up to here joining the parts is faster than feeding them one by one

u64 = struct.Struct("<Q").pack


class Key(bytes):
    """A canonical key: 16 bytes, made by ``cache.key(...)`` or by ``wrapped.key(...)``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Key({self.hex()!r})"


class Unkeyable(Exception):
    """A value without a stable key was met; says which type, and whether it was the value itself."""

    def __init__(self, culprit: object, reason: str = "has no stable key") -> None:
        super().__init__(f"{class_name(type(culprit))} {reason}")
        self.culprit = culprit
        self.reason = reason

    def sentence(self, subject: str, value: object) -> str:
        """``argument 'conn' of app:load has type sqlite3.Connection, which has no stable key``."""
        verb = "has type" if self.culprit is value else "holds a"
        return f"{subject} {verb} {class_name(type(self.culprit))}, which {self.reason}"


class Node(NamedTuple):
    """A value with children: what is known of it, the children, whether their order matters, and a class to report."""

    head: bytes
    children: Sequence[Any] = ()
    kind: str = "sequence"  # or "members" (unordered), "pairs" (unordered (key, value) pairs)
    of: type | None = None


class Code(NamedTuple):
    """A function, class, module or partial: the encoder asks its hook for the digest."""

    thing: Any


Encoded = bytes | list[Buffer] | Node | Code
Handler = Callable[[Any], Encoded]


def framed(tag: bytes, content: Buffer) -> bytes:
    """Tag, length, content."""
    return b"".join((tag, u64(len(content)), content))


def extension(name: str, *fields: str) -> bytes:
    """The head of a type beyond the built-in ones: its name and what identifies it."""
    return b"".join([framed(b"X", name.encode()), u64(len(fields)), *(framed(b"s", text(f)) for f in fields)])


def text(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def module_name(name: str | None) -> str:
    """The module's name; workers started by spawn know the main module under another one."""
    return "__main__" if name == "__mp_main__" else name or "?"


def name_of(thing: Any) -> str:
    """``module:qualname`` of a class or function."""
    return f"{module_name(thing.__module__)}:{thing.__qualname__}"


def class_name(cls: type) -> str:
    """How a message names a class."""
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


class _Unordered:
    """The members of a set or the keys of a dict while they are encoded one by one."""

    __slots__ = ("children", "done", "kind")

    def __init__(self, node: Node) -> None:
        self.kind = node.kind
        self.children = node.children
        self.done: list[Any] = []  # encodings, in the order of the children


_EACH, _LEAVE, _OPEN, _CLOSE, _SORT = range(5)


class Encoder:
    """Encodes values; stateless apart from its two hooks.

    Parameters
    ----------
    code : callable, optional
        Gives the bytes that stand for a function, class, module or partial. Without it they have no key.
    note : callable, optional
        Is told of each class whose instances were met.
    """

    __slots__ = ("_handlers", "_resolve", "code", "note")

    def __init__(self, code: Callable[[Any], bytes] | None = None, note: Callable[[type], None] | None = None) -> None:
        from fanwise.cache._plain_keys import HANDLERS, handler_of

        self.code = code
        self.note = note
        self._handlers = HANDLERS
        self._resolve: Any = handler_of

    def digest(self, head: bytes, values: Iterable[Any]) -> bytes:
        """Hash of the preamble, ``head`` and the encodings of ``values``, one after the other."""
        parts: list[Buffer] = [PREAMBLE, head]
        for value in values:
            self.extend(parts, value)
        if len(parts) < 64 and sum(map(len, parts)) < SMALL:
            return digest128(b"".join(parts))
        return digest_parts(parts)

    def encode(self, value: Any) -> bytes:
        """The whole encoding of one value."""
        parts: list[Buffer] = []
        self.extend(parts, value)
        return b"".join(parts)

    def extend(self, out: list[Buffer], value: Any) -> None:
        """Append the encoding of ``value`` to ``out``."""
        shape = self.shape(value)
        if type(shape) is bytes:
            out.append(shape)
        elif type(shape) is list:
            out.extend(shape)
        else:
            self._walk(out, value)

    def shape(self, value: Any) -> Encoded:
        """What the type's own function says: bytes, buffers, or a node with children."""
        cls = type(value)
        handler: Handler = self._handlers.get(cls) or self._resolve(cls)
        return handler(value)

    def _walk(self, out: list[Buffer], root: Any) -> None:
        outs = [out]
        path: set[int] = set()
        todo: list[tuple[int, Any]] = [(_EACH, iter((root,)))]
        while todo:
            op, item = todo.pop()
            if op == _EACH:
                self._each(item, outs[-1], path, todo)
            elif op == _LEAVE:
                path.discard(id(item))
            elif op == _OPEN:
                outs.append([])
            elif op == _CLOSE:
                item.done.append(b"".join(outs.pop()))
            else:
                _in_order(item, outs[-1], todo)

    def _each(self, values: Iterator[Any], out: list[Buffer], path: set[int], todo: list[tuple[int, Any]]) -> None:
        """Encode values up to the first with children, which is put on the stack above the rest."""
        for value in values:
            shape = self.shape(value)
            if type(shape) is bytes:
                out.append(shape)
            elif type(shape) is list:
                out.extend(shape)
            elif isinstance(shape, Code):
                out.append(self._code(value))
            else:
                assert isinstance(shape, Node)
                if id(value) in path:
                    raise Unkeyable(value, "contains itself")
                path.add(id(value))
                out.append(shape.head)
                todo += ((_EACH, values), (_LEAVE, value))  # keeps a temporary alive: its id would be given away
                self._enter(shape, out, todo)
                return

    def _code(self, value: Any) -> bytes:
        if self.code is None:
            raise Unkeyable(value)
        return framed(b"!", self.code(value))

    def _enter(self, node: Node, out: list[Buffer], todo: list[tuple[int, Any]]) -> None:
        if node.of is not None and self.note is not None:
            self.note(node.of)
        if node.kind == "sequence":
            todo.append((_EACH, iter(node.children)))
            return
        frame = _Unordered(node)
        keys = [child[0] for child in node.children] if node.kind == "pairs" else node.children
        shapes = [self.shape(key) for key in keys]
        if all(type(shape) is bytes for shape in shapes):
            frame.done = shapes
            _in_order(frame, out, todo)
            return
        todo.append((_SORT, frame))
        for key in reversed(keys):
            todo += ((_CLOSE, frame), (_EACH, iter((key,))), (_OPEN, None))


def _in_order(frame: _Unordered, out: list[Buffer], todo: list[tuple[int, Any]]) -> None:
    """Write the sorted members, or see to it that each value follows its key."""
    if frame.kind == "members":
        out.extend(sorted(frame.done))
        return
    order = sorted(range(len(frame.done)), key=frame.done.__getitem__)
    todo.append((_EACH, (part for place in order for part in (Done(frame.done[place]), frame.children[place][1]))))


class Done(bytes):
    """Bytes that are an encoding already."""

    __slots__ = ()
