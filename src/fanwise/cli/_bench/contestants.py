"""Who takes part: the loop, fanwise, and other libraries as their own documentation recommends them.

Pools are made for each round, as a script that runs once does, and fanwise starts its workers for each round too.
Dask and Ray are told to keep a cluster, so theirs is started before the rounds.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from platform import python_version
from typing import Any

import fanwise
from fanwise.errors import UsageError

__all__ = ["LOOP", "OURS", "PEERS", "Contestant", "Map", "chosen", "seated"]

Map = Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]
LOOP, OURS = "loop", "fanwise"
_CHUNKS_EACH = 4  # chunks per worker, as multiprocessing.Pool chooses them


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to run a function over inputs; ``version`` is None if it is not installed.

    Attributes
    ----------
    open : callable
        ``open(workers)`` is a context manager that gives a ``map(fn, items)``.
    """

    name: str
    version: str | None
    open: Callable[[int], AbstractContextManager[Map]]


def _loop(_: int) -> AbstractContextManager[Map]:
    return nullcontext(lambda fn, items: [fn(item) for item in items])


def _ours(backend: str) -> Callable[[int], AbstractContextManager[Map]]:
    return lambda workers: nullcontext(
        lambda fn, items: fanwise.map(fn, items, workers=workers, backend=backend, progress="none")
    )


def _chunk(items: Sequence[Any], workers: int) -> int:
    return max(1, -(-len(items) // (_CHUNKS_EACH * workers)))


def _futures(workers: int) -> AbstractContextManager[Map]:
    def run(fn: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        with ProcessPoolExecutor(workers) as pool:
            return list(pool.map(fn, items, chunksize=_chunk(items, workers)))

    return nullcontext(run)


def _pool(workers: int) -> AbstractContextManager[Map]:
    def run(fn: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        with multiprocessing.Pool(workers) as pool:
            return pool.map(fn, items)

    return nullcontext(run)


@contextmanager
def _joblib(workers: int) -> Iterator[Map]:
    joblib = import_module("joblib")
    yield lambda fn, items: joblib.Parallel(n_jobs=workers)(joblib.delayed(fn)(item) for item in items)
    import_module("joblib.externals.loky").get_reusable_executor().shutdown(wait=True)


def _mpire(workers: int) -> AbstractContextManager[Map]:
    def run(fn: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        with import_module("mpire").WorkerPool(n_jobs=workers) as pool:
            return list(pool.map(fn, [(item,) for item in items]))

    return nullcontext(run)


@contextmanager
def _dask(workers: int) -> Iterator[Map]:
    distributed = import_module("distributed")
    with (
        distributed.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield lambda fn, items: client.gather(client.map(fn, items, pure=False))


@contextmanager
def _ray(workers: int) -> Iterator[Map]:
    ray = import_module("ray")
    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)

    def run(fn: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        def task(item: Any) -> Any:  # Ray takes functions, not objects that can be called
            return fn(item)

        remote = ray.remote(task)
        found: list[Any] = ray.get([remote.remote(item) for item in items])
        return found

    try:
        yield run
    finally:
        ray.shutdown()


PEERS: Mapping[str, tuple[str, Callable[[int], AbstractContextManager[Map]]]] = {
    "concurrent.futures": ("concurrent", _futures),
    "multiprocessing.Pool": ("multiprocessing", _pool),
    "joblib": ("joblib", _joblib),
    "mpire": ("mpire", _mpire),
    "dask": ("distributed", _dask),
    "ray": ("ray", _ray),
}


def chosen(peers: str, *, forced: bool) -> list[Contestant]:
    """Who takes part: the loop, fanwise (and its two backends if ``forced``), and the peers asked for.

    Raises
    ------
    UsageError
        If there is no such peer.
    """
    names = list(PEERS) if peers == "auto" else [] if peers == "none" else [name.strip() for name in peers.split(",")]
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise UsageError(f"--peers {unknown[0]}: expected auto, none or some of {', '.join(PEERS)}.")
    ours = {OURS: "auto"} | ({"fanwise thread": "thread", "fanwise process": "process"} if forced else {})
    return [
        Contestant(LOOP, python_version(), _loop),
        *(Contestant(name, fanwise.__version__, _ours(backend)) for name, backend in ours.items()),
        *(Contestant(name, _version(PEERS[name][0]), PEERS[name][1]) for name in names),
    ]


def seated(name: str) -> Contestant:
    """The contestant of that name."""
    return next(each for each in chosen("auto", forced=True) if each.name == name)


def _version(module: str) -> str | None:
    if find_spec(module) is None:
        return None
    try:
        return metadata.version(module)
    except metadata.PackageNotFoundError:  # of the standard library
        return python_version()
