"""A report as JSON and back. The form is that of ``schema-1.json``; fields added later are passed over when reading."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from fanwise.errors import InputError
from fanwise.report import _record as parts
from fanwise.report._privacy import plain_value
from fanwise.report._report import RunReport

__all__ = ["SCHEMA", "decode", "encode"]

SCHEMA = "fanwise.report/1"
_NAMES = {"version": "fanwise", "counts": "items", "lanes": "workers"}
"""Sections whose attribute has another name than their place in the JSON form."""

_LARGEST = 1e18  # of seconds, bytes and items there are fewer; with more, sums and drawings overflow

_T = TypeVar("_T")


def encode(report: RunReport) -> str:
    """The report as indented JSON text."""
    return json.dumps({"schema": SCHEMA, **_plain(report)}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Dataclasses as objects, without additions that say nothing; tuples as lists."""
    if is_dataclass(value):
        cls: Any = type(value)
        return {
            key: _plain(part)
            for field, key in _members(cls)
            if (part := getattr(value, field.name)) != field.default or field.default is MISSING
        }
    if isinstance(value, (tuple, list)):
        return [_plain(part) for part in value]
    return value


@cache
def _members(cls: Any) -> tuple[tuple[Field[Any], str], ...]:
    names = _NAMES if cls is RunReport else {}
    return tuple((field, names.get(field.name, field.name)) for field in fields(cls))


def decode(text: str) -> RunReport:
    """Read what `encode` wrote; anything else is an `InputError` that says where it differs."""
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"this is not a fanwise report: it is not JSON ({error})") from None
    schema = tree.get("schema") if isinstance(tree, dict) else None
    if schema != SCHEMA:
        raise InputError(
            f'this is not a fanwise report of a known version: "schema" is {schema!r}, expected "{SCHEMA}"'
        )
    report = _read(RunReport, tree, "report")
    if not report.lanes or not report.plan.decisions:
        raise InputError("this is not a fanwise report: it has no lane or no decision")
    shown = report.costs.histogram
    if len(shown.edges_s) != len(shown.counts) + 1:
        raise InputError("this is not a fanwise report: costs.histogram needs one edge more than counts")
    return report


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls, localns={"parts": parts})


def _read(cls: type[_T], tree: Any, where: str) -> _T:
    """An object of a dataclass from a JSON object."""
    described: Any = cls  # mypy doubts that classes are hashable
    if not isinstance(tree, dict):
        raise _wrong(where, "an object", tree)
    values: dict[str, Any] = {}
    for field, key in _members(described):
        if key in tree:
            values[field.name] = _value(_hints(described)[field.name], tree[key], f"{where}.{key}")
        elif field.default is MISSING:
            raise InputError(f"this is not a fanwise report: {where}.{key} is missing")
    return cls(**values)


def _value(hint: Any, found: Any, where: str) -> Any:
    """A value of the type that the hint names."""
    if is_dataclass(hint):
        return _read(cast(type, hint), found, where)
    origin = get_origin(hint)
    if origin in {Union, UnionType}:
        return None if found is None else _value(next(a for a in get_args(hint) if a is not NoneType), found, where)
    if origin is tuple:
        if not isinstance(found, list):
            raise _wrong(where, "a list", found)
        return tuple(_value(get_args(hint)[0], part, f"{where}[{index}]") for index, part in enumerate(found))
    return _scalar(origin or hint, found, where)


def _scalar(kind: Any, found: Any, where: str) -> Any:
    if isinstance(found, int | float) and not abs(found) <= _LARGEST:  # NaN and 1e999 too, which Python's reader takes
        raise _wrong(where, f"a number up to {_LARGEST:g}", found)
    if kind is float and isinstance(found, int) and not isinstance(found, bool):
        return float(found)
    wanted = dict if kind is Mapping else kind
    if not isinstance(found, wanted) or (wanted is int and isinstance(found, bool)):
        raise _wrong(where, f"a value of type {wanted.__name__}", found)
    return plain_value(found) if wanted is dict else found


def _wrong(where: str, expected: str, found: object) -> InputError:
    return InputError(f"this is not a fanwise report: {where} is {found!r:.60}, expected {expected}")
