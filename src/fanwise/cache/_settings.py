"""What a cache was asked to be: checked once, and all that another process needs to open the same one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fanwise._folders import cache_folder
from fanwise.cache._codecs import Codec
from fanwise.cache._sizes import parse_size
from fanwise.errors import UsageTypeError, UsageValueError
from fanwise.typing import Clock, SharedLevel

__all__ = ["DISK", "MEMORY", "Settings", "settings"]

MEMORY, DISK = "64MiB", "2GiB"
_BACKENDS = ("auto", "index", "files")
_DURABILITIES = ("process", "power")


@dataclass(frozen=True)
class Settings:
    """The options of `Cache`, in plain form; sizes in bytes."""

    path: str
    label: str
    given: bool
    memory: int
    disk: int
    shared: SharedLevel | None
    signed: bool
    codecs: tuple[Codec | type, ...]
    durable: bool
    backend: str
    clock: Clock | None


def settings(
    path: str | os.PathLike[str] | None,
    *,
    memory: int | str,
    disk: int | str,
    shared: SharedLevel | str | None,
    pickle: Any,
    codecs: Iterable[Codec | type],
    durability: str,
    backend: str,
    clock: Clock | None,
) -> Settings:
    """Check the options.

    Raises
    ------
    UsageError
        If one of them cannot be.
    """
    if pickle is not False and pickle != "signed":
        raise UsageValueError(
            f'pickle={pickle!r}: pass pickle="signed" (pickles nobody else could have written), or False'
        )
    _one_of("durability", durability, _DURABILITIES)
    named = os.environ.get("FANWISE_CACHE_BACKEND")
    if backend == "auto" and named:
        _one_of("FANWISE_CACHE_BACKEND", named, _BACKENDS)
        backend = named
    _one_of("backend", backend, _BACKENDS)
    label = cache_folder() if path is None else os.fspath(path)
    return Settings(
        path=os.path.abspath(label),
        label=label,
        given=path is not None or bool(os.environ.get("FANWISE_CACHE_DIR")),
        memory=parse_size(memory, "memory"),
        disk=parse_size(disk, "disk"),
        shared=_shared(shared),
        signed=pickle == "signed",
        codecs=tuple(codecs),
        durable=durability == "power",
        backend=backend,
        clock=clock,
    )


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageValueError(f"{name} {value!r}: expected one of {', '.join(known)}")


def _shared(shared: SharedLevel | str | None) -> SharedLevel | None:
    if shared is None:
        return None
    if isinstance(shared, str):
        from fanwise.cache._redis import RedisLevel

        return RedisLevel(shared)
    missing = [
        name for name in ("get_many", "put_many", "delete", "stats") if not callable(getattr(shared, name, None))
    ]
    if missing:
        raise UsageTypeError(
            f"shared: expected an object with get_many, put_many, delete and stats, got {type(shared).__name__}"
        )
    return shared
