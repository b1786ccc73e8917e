"""What a worker is sent once, and what it does with the number of a chunk."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fanwise.workloads.modelsearch._blas import one_thread
from fanwise.workloads.modelsearch._chunks import Cut, finish, to_bytes
from fanwise.workloads.modelsearch._context import SearchContext, from_arrays

__all__ = ["ChunkTask"]


class ChunkTask:
    """What a worker is sent once: the bundle. It builds its context from it at its first chunk.

    Calling it with the number of a chunk returns the finished chunk as bytes.
    """

    def __init__(
        self, arrays: Mapping[str, Any], cut: Cut, *, full: bool, context: SearchContext | None = None
    ) -> None:
        self.arrays, self.cut, self.full = arrays, cut, full
        self._context = context

    def __reduce__(self) -> tuple[Any, ...]:
        return _task_of, (self.arrays, self.cut, self.full)

    @property
    def context(self) -> SearchContext:
        if self._context is None:
            self._context = from_arrays(self.arrays)
        return self._context

    def __call__(self, chunk: int) -> bytes:
        began, cpu = time.perf_counter(), time.process_time()
        with one_thread():
            done = finish(self.context, self.cut.bounds(chunk), full=self.full)
        seconds, spent = time.perf_counter() - began, time.process_time() - cpu
        return to_bytes(replace(done, seconds=seconds, cpu=spent, worker=os.getpid()))


def _task_of(arrays: Mapping[str, Any], cut: Cut, full: bool) -> ChunkTask:  # noqa: FBT001 (called by pickle)
    return ChunkTask(arrays, cut, full=full)
