"""`map`, `run` and `stream`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from fanwise._api._call import Call
from fanwise._api._options import check_call, read_options, whole_number
from fanwise._api._stream import Stream
from fanwise._api.run import Run

if TYPE_CHECKING:
    from fanwise._api.executor import Executor
    from fanwise.typing import Backend, Progress, Retry

__all__ = ["map", "run", "stream"]

T = TypeVar("T")
R = TypeVar("R")


def map(
    fn: Callable[..., R],
    items: Iterable[T],
    /,
    *,
    workers: int | None = None,
    backend: str | Backend = "auto",
    executor: Executor | None = None,
    chunk_size: int | None = None,
    on_error: str = "raise",
    retries: int | Retry = 0,
    timeout: float | None = None,
    deadline: float | None = None,
    seed: int | None = None,
    cache: Any = None,
    progress: str | Progress = "auto",
    resume: Any = None,
) -> list[Any]:
    """Return ``[fn(item) for item in items]``, computed in this process or in several, whichever is faster.

    The call starts in this process, measures what an item costs, and starts workers only if the work that is left
    pays for them. Values, order and exceptions are those of the loop.

    Parameters
    ----------
    fn : callable
        Called with one item; with ``seed`` also with the keyword ``rng``.
    items : iterable
        Sequences and arrays are not copied; anything else is drawn once, in order, by the caller.
    workers : int, optional
        At most this many workers; 1 runs everything in this process. Default: from affinity, quota, load and memory.
    backend : {"auto", "serial", "thread", "process"}, a cluster, or Backend
        Where items run. ``"process"``: in worker processes only, so that a crash cannot reach the caller. A cluster is
        ``"dask://host:port"``, ``"ray"``, ``"ray://host:port"`` or a ``distributed.Client``.
    executor : Executor, optional
        Use the warm workers of this executor.
    chunk_size : int, optional
        Items that a worker gets together, or a multiple while that is less than a millisecond of work. Default: about
        40 ms of work.
    on_error : {"raise", "return"}
        ``"raise"``: the exception of the lowest failing item, as the loop would raise it, with the remote traceback as
        a note and the finished `Run` in ``__fanwise_run__``. ``"return"``: every element is an `Outcome`.
    retries : int or fanwise.typing.Retry
        Further attempts after an exception, a time-out or a lost worker.
    timeout : float, optional
        Seconds for one item; then its worker is killed and the item is `Failed` with `ItemTimeoutError`.
    deadline : float, optional
        Seconds for the whole call; then `RunTimeoutError`, which has the finished ``run``.
    seed : int, optional
        ``fn(item, rng=Generator)``: a NumPy generator that depends on seed and item index only.
    cache : Cache, optional
        Results kept between calls.
    progress : {"auto", "rich", "plain", "none", "json"} or Progress
        ``"auto"``: a bar, on a terminal, once the call has lasted a second.
    resume : path, optional
        Journal of finished items; a second call goes on where the first one ended.

    Returns
    -------
    list
        Results in item order.

    Raises
    ------
    UsageError
        If an argument is wrong; nothing has run.
    RunInterrupted, RunTimeoutError
        With what is finished in ``run``.
    BaseException
        Whatever ``fn`` or the input raises.

    Examples
    --------
    >>> import fanwise
    >>> fanwise.map(abs, [-2, 3, -5])
    [2, 3, 5]
    """
    check_call(fn, items)
    options = read_options(
        workers=workers,
        backend=backend,
        executor=executor,
        chunk_size=chunk_size,
        on_error=on_error,
        retries=retries,
        timeout=timeout,
        deadline=deadline,
        seed=seed,
        cache=cache,
        progress=progress,
        resume=resume,
    )
    call = Call(fn, items, options)
    call.complete()
    return call.values() if options.raises else list(call.as_run().outcomes)


def run(
    fn: Callable[..., R],
    items: Iterable[T],
    /,
    *,
    workers: int | None = None,
    backend: str | Backend = "auto",
    executor: Executor | None = None,
    chunk_size: int | None = None,
    on_error: str = "return",
    retries: int | Retry = 0,
    timeout: float | None = None,
    deadline: float | None = None,
    seed: int | None = None,
    cache: Any = None,
    progress: str | Progress = "auto",
    resume: Any = None,
) -> Run:
    """Run ``fn`` on every item and return what became of each: outcomes, missing items and the report.

    Parameters
    ----------
    fn, items
        As for `map`, like every option; only ``on_error`` has another default.
    on_error : {"return", "raise"}
        ``"return"``: a failing item is an outcome and the others go on.

    Returns
    -------
    Run
        With ``outcomes``, ``missing``, ``complete``, ``values()`` and ``report``.

    Raises
    ------
    UsageError, RunInterrupted, RunTimeoutError
        As for `map`; also what the input itself raises.

    Examples
    --------
    >>> import fanwise
    >>> run = fanwise.run(lambda x: 1 / x, [1, 0, 4])
    >>> [outcome.ok for outcome in run.outcomes]
    [True, False, True]
    >>> run.outcomes[1].error
    ZeroDivisionError('division by zero')
    """
    check_call(fn, items)
    options = read_options(
        workers=workers,
        backend=backend,
        executor=executor,
        chunk_size=chunk_size,
        on_error=on_error,
        retries=retries,
        timeout=timeout,
        deadline=deadline,
        seed=seed,
        cache=cache,
        progress=progress,
        resume=resume,
    )
    call = Call(fn, items, options)
    call.complete()
    return call.as_run()


def stream(
    fn: Callable[..., R],
    items: Iterable[T],
    /,
    *,
    ordered: bool = True,
    lookahead: int | None = None,
    workers: int | None = None,
    backend: str | Backend = "auto",
    executor: Executor | None = None,
    chunk_size: int | None = None,
    on_error: str = "raise",
    retries: int | Retry = 0,
    timeout: float | None = None,
    deadline: float | None = None,
    seed: int | None = None,
    cache: Any = None,
    progress: str | Progress = "auto",
    resume: Any = None,
) -> Stream:
    """Yield results as the input is read: lazy in, lazy out, in bounded memory, for inputs without end too.

    Closing the iterator (``close()``, or forgetting it) cancels what is left and frees the workers; afterwards, as at
    its end, ``report`` tells how the run went.

    Parameters
    ----------
    fn, items
        As for `map`, like every option that is not named here.
    ordered : bool
        Yield in item order; False: as items finish.
    lookahead : int, optional
        At most so many items are drawn from the input and not yet yielded. Default: ``max(64, 4 · workers · chunk)``.

    Returns
    -------
    Iterator
        Over results, or over each `Outcome` with ``on_error="return"``; with ``close()`` and ``report``.

    Raises
    ------
    BaseException
        As for `map`, behind the results before the failing item.

    Examples
    --------
    >>> import itertools
    >>> import fanwise
    >>> squares = fanwise.stream(lambda x: x * x, itertools.count())
    >>> [next(squares) for _ in range(4)]
    [0, 1, 4, 9]
    >>> squares.close()
    >>> squares.report.run.status
    'partial'
    """
    check_call(fn, items)
    options = read_options(
        workers=workers,
        backend=backend,
        executor=executor,
        chunk_size=chunk_size,
        on_error=on_error,
        retries=retries,
        timeout=timeout,
        deadline=deadline,
        seed=seed,
        cache=cache,
        progress=progress,
        resume=resume,
    )
    bound = whole_number("lookahead", lookahead, none=True)
    return Stream(Call(fn, items, options, ordered=bool(ordered), lookahead=bound, streaming=True))
