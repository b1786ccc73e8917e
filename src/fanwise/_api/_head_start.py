"""Workers that begin with the second item while the first one, which takes long, is running in the calling process.

Nothing is known of a function before its first item has ended, so a call of few long items would do the first of them
alone: with as many items as cores that doubles the time. A thread looks, while the first item runs, whether it is long
enough, and then does what the calling thread would do next. It starts workers by the fork server, never by a fork.
"""

from __future__ import annotations

import os
import threading
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable, Generator
from time import perf_counter, process_time, thread_time
from typing import TYPE_CHECKING, Self

from fanwise.engine._plan import FanOut, Stay
from fanwise.errors import FanwiseError

if TYPE_CHECKING:
    from fanwise._api._crewed import CrewStage

__all__ = ["HeadStart"]

_PATIENCE_S = 0.01


class HeadStart:
    """A context around the first item. Afterwards either ``stage`` is at work, or nothing has happened.

    Parameters
    ----------
    first_look_s : float
        When to ask the plan for the first time; it is asked again after twice that time, and so on.
    consider : callable
        ``consider(so_far_s, cpu_s)``: what the plan says of an item that has been running for so long.
    hire : callable
        ``hire(verdict)`` makes the stage that is to drive the workers.
    """

    def __init__(
        self,
        first_look_s: float,
        consider: Callable[[float, float], FanOut | Stay],
        hire: Callable[[FanOut], CrewStage],
    ) -> None:
        self.stage: CrewStage | None = None
        self.verdict: FanOut | None = None
        self._first_look_s = first_look_s
        self._consider = consider
        self._hire = hire
        self._steps: Generator[None, None, None] | None = None
        self._over, self._ended = allocate_lock(), allocate_lock()  # held until the item, and the thread, have ended
        self._thread: threading.Thread | None = None
        self._began = self._cpu = 0.0
        self._defect: BaseException | None = None

    def __repr__(self) -> str:
        return f"<HeadStart{' of ' + repr(self.stage) if self.stage is not None else ''}>"

    def __enter__(self) -> Self:
        self._began, self._cpu = perf_counter(), process_time()
        self._over.acquire()
        self._ended.acquire()
        try:
            start_new_thread(self._wait, ())  # a `threading.Thread` is waited for until it has started: 0.1 ms
        except RuntimeError:  # the system has no room for a thread: nor would it have any for workers
            self._ended.release()
        return self

    def __exit__(self, *exc: object) -> None:
        """The first item has ended: the thread lets go of the workers. Nobody waits for it behind a short item."""
        self._over.release()
        if perf_counter() - self._began < self._first_look_s:
            return
        self._ended.acquire()
        if self._thread is None:
            return
        if self.stage is not None:
            self.stage.wake()
        self._thread.join()
        self._see_off(self._thread.native_id)
        if self.stage is not None and not self.stage.is_manned:
            self.rest().close()
            self.stage = None
        if self._defect is not None:
            raise self._defect

    @staticmethod
    def _see_off(thread: int | None) -> None:
        """Wait until the system has let go of a thread too: what it still lists stands in the way of a fork."""
        listed, until = f"/proc/self/task/{thread}", perf_counter() + _PATIENCE_S
        while os.path.exists(listed) and perf_counter() < until:
            os.sched_yield()

    def rest(self) -> Generator[None, None, None]:
        """What drives the workers on, in the calling thread."""
        assert self._steps is not None
        return self._steps

    def _wait(self) -> None:
        """Most first items end here. Only for another one is there a thread that `threading` knows of."""
        try:
            if not self._over.acquire(timeout=self._first_look_s):
                thread = threading.Thread(target=self._look, name="fanwise-head-start", daemon=True)
                thread.start()
                self._thread = thread
        except RuntimeError:  # as in `__enter__`
            return
        finally:
            self._ended.release()

    def _look(self) -> None:
        try:
            while self._over.locked():
                so_far = perf_counter() - self._began
                verdict = self._consider(so_far, process_time() - self._cpu - thread_time())
                if isinstance(verdict, FanOut):
                    self._drive(verdict)
                    return
                if self._over.acquire(timeout=so_far):
                    return
        except (FanwiseError, OSError):  # no workers: the plan will find that out, and tell, if it wants some
            self.stage = None
        except BaseException as defect:  # noqa: BLE001  # raised in the calling thread
            self.stage, self._defect = None, defect

    def _drive(self, verdict: FanOut) -> None:
        """Turn until the first item has ended."""
        stage = self._hire(verdict)
        self._steps = stage.steps()
        self.verdict, self.stage = verdict, stage
        for _ in self._steps:
            if not self._over.locked():
                return
