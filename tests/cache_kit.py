"""What the tests of the cache share: caches of every kind, a shared level in memory, children that die on cue."""

from __future__ import annotations

import os
import sys
import textwrap
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess, run
from typing import Any

from fanwise import Cache

SRC = Path(__file__).parents[1] / "src"


class SharedDict:
    """A `SharedLevel` in memory, which can be told to fail or to hold leases."""

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}
        self.calls: list[str] = []
        self.error: Exception | None = None
        self.leases: dict[bytes, bool | None] = {}

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.error is not None:
            raise self.error

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        self._call("get_many")
        return [self.records.get(bytes(key)) for key in keys]

    def put_many(self, records: Mapping[bytes, bytes], *, ttl: float | None) -> None:
        self._call("put_many")
        self.records.update({bytes(key): bytes(record) for key, record in records.items()})

    def delete(self, keys: Sequence[bytes]) -> int:
        self._call("delete")
        return sum(self.records.pop(bytes(key), None) is not None for key in keys)

    def stats(self) -> Mapping[str, int]:
        return {"entries": len(self.records)}

    def lease(self, key: bytes, *, seconds: float) -> bool | None:
        self._call("lease")
        return self.leases.get(bytes(key))


def in_child(work: Callable[[], Any]) -> int:
    """Run ``work`` in a forked child: 0 if it returns, 1 with a traceback if it raises, else what it exits with."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def python(code: str, *arguments: str, **environment: str) -> CompletedProcess[str]:
    """Run a program in a fresh interpreter that finds this source."""
    return run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        env={**os.environ, "PYTHONPATH": str(SRC), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def folder(cache: Cache) -> Path:
    """Where the files of the schema and hash in use are."""
    (found,) = [path for path in Path(cache.path).iterdir() if path.is_dir() and path.name.startswith("v1")]
    return found


def flip(path: Path, offset: int, bit: int = 0) -> None:
    """Turn one bit of a file round."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ (1 << bit)]))
