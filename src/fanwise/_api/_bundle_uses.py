"""The frozen bundles that a call's items read, as its report says them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from fanwise._format import size
from fanwise.engine._sentences import Decision, decide
from fanwise.records._record import record

if TYPE_CHECKING:
    from fanwise.bundle import Bundle

__all__ = ["Use", "bundles_in", "facts_of", "sentence_of", "together"]

_DEEP = 4
_WIDE = 64  # elements of a container, or names of a function
_NAMED = 3
_DIGEST_BYTES_PER_S = 1e8  # 1 % of what it takes to digest them: 10 GB/s


@record
class Use:
    """A bundle, how often its descriptor was sent in a run, and how many workers had it."""

    bundle: Bundle
    transfers: int
    attached: int


def bundles_in(*things: Any) -> list[Bundle]:
    """The open bundles that a function or its items hold, as far as one sees without pickling them."""
    module = sys.modules.get("fanwise.bundle")
    if module is None:
        return []
    found: dict[bytes, Bundle] = {}
    seen: set[int] = set()
    level: list[Any] = list(things)
    for _ in range(_DEEP):
        fresh = [thing for thing in level if id(thing) not in seen]
        seen.update(map(id, fresh))
        found |= {thing.id: thing for thing in fresh if type(thing) is module.Bundle and not thing.closed}
        level = [part for thing in fresh for part in _parts(thing)]
    return list(found.values())


def _parts(thing: Any) -> Iterator[Any]:
    """What a thing holds, the way functions come to their data. No code of the caller's is run by looking."""
    if isinstance(thing, functools.partial):
        yield from (thing.func, *thing.args[:_WIDE], *thing.keywords.values())
    elif isinstance(thing, FunctionType):
        yield from _held_by(thing)
    elif isinstance(thing, MethodType):
        yield from (thing.__self__, thing.__func__)
    elif type(thing) in {tuple, list}:
        yield from thing[:_WIDE]
    elif type(thing) is dict:
        yield from list(thing.values())[:_WIDE]
    elif not isinstance(thing, (ModuleType, type)):
        with suppress(AttributeError):  # slots
            yield from list(object.__getattribute__(thing, "__dict__").values())[:_WIDE]


def _held_by(fn: FunctionType) -> Iterator[Any]:
    """Defaults, closure, and those globals that its code names."""
    yield from fn.__defaults__ or ()
    yield from (fn.__kwdefaults__ or {}).values()
    for cell in fn.__closure__ or ():
        with suppress(ValueError):  # not filled yet
            yield cell.cell_contents
    yield from (fn.__globals__.get(name) for name in fn.__code__.co_names[:_WIDE])


def sentence_of(bundle: Bundle, items: int | None) -> Decision:
    """The decision that a bundle which the function holds travels once."""
    names = list(bundle)
    said = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    facts = {"names": names[:_WIDE], "bytes": bundle.nbytes, "n": items}
    return decide("bundle.frozen", facts, names=said, bytes=size(bundle.nbytes), n="the" if items is None else items)


def facts_of(uses: Sequence[Use], seconds: float) -> list[Mapping[str, Any]]:
    """The ``bundles`` of a report; a digest that would cost more than a percent of the run is not made: its id stands in."""
    return [
        {
            "digest": _digest(use.bundle, seconds),
            "names": list(use.bundle),
            "bytes": use.bundle.nbytes,
            "transfers": use.transfers,
            "attached": use.attached,
        }
        for use in uses
    ]


def _digest(bundle: Bundle, seconds: float) -> str:
    cheap = not bundle.closed and bundle.nbytes < _DIGEST_BYTES_PER_S * seconds
    return bundle.digest if cheap else bundle.id.hex()


def together(carried: Sequence[tuple[Any, int, int]], inherited: Sequence[Bundle], workers: int) -> list[Use]:
    """Every bundle of a run once: those that were sent, and those that ``workers`` inherited."""
    uses = {attachment.id: Use(attachment.owner, sent, had) for attachment, sent, had in carried}
    for bundle in inherited:
        uses.setdefault(bundle.id, Use(bundle, 0, workers))
    return list(uses.values())
