"""`joblib.Parallel` decides what is a batch and when it is sent; an `Executor` runs it, and is kept for the next call."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

from joblib.parallel import (
    AutoBatchingMixin,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
    register_parallel_backend,
)

from fanwise import _task
from fanwise._api.executor import Executor
from fanwise.backends.process._blas import limit_threads
from fanwise.engine._resources import HostResources
from fanwise.errors import BackendError, UsageTypeError

__all__ = ["FanwiseBackend", "register"]

NAME = "fanwise"
_PASSED_ON = ("initializer", "initargs", "max_tasks_per_child", "mp_context")
_NOT_NEEDED = frozenset({"max_nbytes", "mmap_mode", "temp_folder", "context", "verbose", "idle_worker_timeout"})
"""What other backends take: large arrays travel in anonymous memory here, and arrive writable."""


class Recipe(NamedTuple):
    """What the workers of an executor are made from."""

    workers: int
    threads: int | None = None
    initializer: Callable[..., object] | None = None
    initargs: tuple[Any, ...] = ()
    max_tasks_per_child: int | None = None
    mp_context: Any = None

    def make(self) -> Executor:
        """An executor of such workers, none of them started."""
        prepare = partial(_prepare, self.threads, self.initializer)
        return Executor(
            self.workers,
            self.mp_context,
            None if self.threads is None and self.initializer is None else prepare,
            tuple(self.initargs),
            max_tasks_per_child=self.max_tasks_per_child,
        )

    def is_like(self, other: Recipe) -> bool:
        """Whether the same objects went into both; not whether they are equal, which an array cannot say."""
        ours, theirs = ((*recipe[:3], *recipe.initargs, *recipe[4:]) for recipe in (self, other))
        return len(ours) == len(theirs) and all(a is b for a, b in zip(ours, theirs, strict=True))


class Warm:
    """The executor that the next call may have: one at most. Has no lock, which a fork might copy while it is held."""

    def __init__(self) -> None:
        self._kept: deque[tuple[Recipe, Executor]] = deque()

    def take(self, recipe: Recipe) -> Executor:
        """The executor that was kept, if it is made like this, or a new one."""
        for kept, executor in self._all():
            if kept.is_like(recipe) and not executor.closed:
                return executor
            executor.shutdown()
        return recipe.make()

    def keep(self, recipe: Recipe, executor: Executor) -> None:
        """Keep this one in the place of any other."""
        self.close()
        self._kept.append((recipe, executor))

    def close(self) -> None:
        """Keep none."""
        for _, executor in self._all():
            executor.shutdown()

    def _all(self) -> Iterator[tuple[Recipe, Executor]]:
        """Take out what is kept: one, or two after two threads were at it at once."""
        while self._kept:
            try:
                found = self._kept.pop()
            except IndexError:  # another thread was quicker
                return
            yield found


class FanwiseBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]  # joblib has no types
    """What `joblib.Parallel` asks of a backend, answered by an executor on loan."""

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True

    warm = Warm()

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._recipe = Recipe(1)
        self._workers: Executor | None = None
        self._calls = 0

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Workers for this many jobs: -1 is every core, -2 all but one; in a worker no more than its share."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        wanted = n_jobs if n_jobs > 0 else max(1, HostResources().cores().usable + 1 + n_jobs)
        return min(wanted, _task.budget() or wanted)

    def configure(
        self, n_jobs: int = 1, parallel: Any = None, prefer: object = None, require: object = None, **options: Any
    ) -> int:
        """Borrow an executor, or share it with the generators of this context that are not through."""
        workers = self.effective_n_jobs(n_jobs)
        if workers == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        recipe = _recipe(workers, self.inner_max_num_threads, {**self.backend_kwargs, **options})
        if self._workers is not None and not self._recipe.is_like(recipe):
            self._workers.shutdown(wait=False)  # what another generator has sent is finished all the same
            self._workers = None
        if self._workers is None:
            self._recipe, self._workers = recipe, self.warm.take(recipe)
        self._calls += 1
        return workers

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], object] | None = None) -> Future[Any]:
        """Send a batch. It never raises: joblib calls it from a thread of ours, where nobody would hear of it."""
        future: Future[Any] = Future()
        try:
            if self._workers is None:
                raise RuntimeError("this call of Parallel has ended")
            future = self._workers.submit(run_batch, func)
        except (BackendError, RuntimeError) as error:
            future.set_exception(error)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """The results of a batch, or its exception."""
        return out.result()

    def terminate(self) -> None:
        """Leave the workers to the next call, after the last of those that share them."""
        self._calls -= 1
        if self._calls <= 0:
            workers = self._let_go()
            if workers is not None:
                self.warm.keep(self._recipe, workers)
        self.reset_batch_stats()

    def abort_everything(self, ensure_ready: bool = True) -> None:  # noqa: FBT001, FBT002 - the parent's
        """End the workers, whatever they are at."""
        workers = self._let_go()
        if workers is not None:
            workers.kill_workers()
        if ensure_ready:
            self.configure(self.parallel.n_jobs, self.parallel, **self.parallel._backend_kwargs)  # noqa: SLF001 - as joblib's own

    def _let_go(self) -> Executor | None:
        workers, self._workers = self._workers, None
        self._calls = 0
        return workers


def run_batch(batch: Callable[[], Any]) -> Any:
    """What a worker runs. A loop inside may name this backend, in an interpreter that was not told of it."""
    register()
    return batch()


def register(*, make_default: bool = False) -> None:
    """Put this backend among joblib's."""
    register_parallel_backend(NAME, FanwiseBackend, make_default=make_default)


def _recipe(workers: int, threads: int | None, options: dict[str, Any]) -> Recipe:
    passed_on = {name: options[name] for name in _PASSED_ON if name in options}
    unknown = sorted(options.keys() - passed_on.keys() - _NOT_NEEDED)
    if unknown:
        raise UsageTypeError(f"the fanwise backend takes {', '.join(_PASSED_ON)}, not {', '.join(unknown)}")
    return Recipe(workers, threads, **passed_on)


def _prepare(threads: int | None, initializer: Callable[..., object] | None, *initargs: Any) -> None:
    if threads is not None:
        limit_threads(threads)
    if initializer is not None:
        initializer(*initargs)
