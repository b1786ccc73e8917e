"""What compiled code says: its instructions and constants as bytes, and the names through which it reaches others."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType
from typing import NamedTuple

from fanwise.cache._keys import Encoder, u64

__all__ = ["Import", "Reach", "encode_code", "nested", "reach_of"]

_LOADS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_CELLS = {"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}
_ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD"}


class Import(NamedTuple):
    """An ``import`` inside a function."""

    module: str
    level: int
    names: tuple[str, ...]


class Reach(NamedTuple):
    """The globals, closure cells and imports that code reads, with their attribute chains, and all names it holds."""

    globals: tuple[tuple[str, tuple[str, ...]], ...]
    cells: tuple[tuple[str, tuple[str, ...]], ...]
    imports: tuple[Import, ...]
    names: frozenset[str]


def nested(code: CodeType) -> Iterator[CodeType]:
    """The code and all code within it, outermost first."""
    todo = [code]
    while todo:
        each = todo.pop(0)
        yield each
        todo += [const for const in each.co_consts if isinstance(const, CodeType)]


@lru_cache(maxsize=1024)
def encode_code(code: CodeType) -> bytes:
    """Everything that decides what the code does, and nothing about where it stands.

    Lines and file are left out; try blocks are in, which Python keeps in a table beside the instructions.
    """
    encoder = Encoder()
    parts: list[bytes] = []
    for each in nested(code):
        counts = (each.co_argcount, each.co_posonlyargcount, each.co_kwonlyargcount, each.co_flags)
        names = (each.co_names, each.co_varnames, each.co_freevars, each.co_cellvars)
        constants = [f"code {c.co_name}" if isinstance(c, CodeType) else c for c in each.co_consts]
        parts.append(encoder.encode((each.co_code, each.co_exceptiontable, counts, names, constants)))
    return u64(len(parts)) + b"".join(parts)


@lru_cache(maxsize=1024)
def reach_of(code: CodeType) -> Reach:
    """What the code, or code within it, reads by name."""
    loads: dict[tuple[str, tuple[str, ...]], None] = {}
    cells: dict[tuple[str, tuple[str, ...]], None] = {}
    imports: dict[Import, None] = {}
    names: set[str] = set()
    for each in nested(code):
        names.update(each.co_names)
        steps = [(i.opname, i.argval) for i in dis.get_instructions(each)]
        for place, (op, name) in enumerate(steps):
            if op in _LOADS:
                loads[name, _chain(steps, place)] = None
            elif op in _CELLS:
                cells[name, _chain(steps, place)] = None
            elif op == "IMPORT_NAME":
                imports[_import(steps, place)] = None
    return Reach(tuple(loads), tuple(cells), tuple(imports), frozenset(names))


def _chain(steps: list[tuple[str, object]], place: int) -> tuple[str, ...]:
    chain = []
    for op, name in steps[place + 1 :]:
        if op not in _ATTRIBUTES:
            break
        chain.append(str(name))
    return tuple(chain)


def _import(steps: list[tuple[str, object]], place: int) -> Import:
    """The compiler puts level and names on the stack right before."""
    names, level = steps[place - 1][1], steps[place - 2][1]
    return Import(
        str(steps[place][1]),
        level if isinstance(level, int) else 0,
        tuple(map(str, names)) if isinstance(names, tuple) else (),
    )
