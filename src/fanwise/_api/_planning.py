"""The plan of a call, fed with facts of this process that are looked up only once they matter."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import cache, partial
from importlib import import_module
from time import perf_counter
from types import BuiltinFunctionType, CodeType
from typing import TYPE_CHECKING, Any

from fanwise import _task
from fanwise._format import size
from fanwise.engine._costs import Experience, Machine
from fanwise.engine._plan import STAY, WEIGH, FanOut, Pace, Stay
from fanwise.engine._sentences import Decision, decide

if TYPE_CHECKING:
    from fanwise._api._local import LocalLoop
    from fanwise._api._options import Options
    from fanwise._api._source import Source
    from fanwise.engine._resources import Budget, Resources

__all__ = ["EXPERIENCE", "Advice", "CappedPace", "EvenPace", "budget_of", "function_of", "limits_of"]

EXPERIENCE = Experience()
"""What this process has learned about its machine and about functions; never on disk."""

_NUMPY_S = 0.15  # to import it in a new interpreter
_LOAD_S = 0.05  # to import what drives workers: 74 modules
_DRIVES = "fanwise._api._crewed"
_WORTH_STARTING_S = 5e-3  # an item as long as a start: the caller would run it while workers could be starting
_WORTH_SENDING_S = 0.5e-3  # gains half of that, and costs 1.5 ms for nothing where items have become cheap
_CALL_S = 5e-6  # of pickling something tiny alone
_SOON_PICKLED_S = 100e-6  # so short a time is taken three times
_BLOCK_S = 5e-3
_SOON_S = 5e-3
_LIGHT_BYTES = 16_000_000
_LRU_CACHED = type(cache(len))
_EACH_BYTES = 45_000_000  # a forked worker's own pages, with room (30 MB · 1.5)


class EvenPace:
    """The pace of a run that stays here whatever it costs: blocks of about 5 ms."""

    __slots__ = ("items", "seconds")

    def __init__(self) -> None:
        self.items = 0
        self.seconds = 0.0

    def block(self) -> int:
        if self.seconds <= 0.0:
            return self.items or 1
        return max(1, min(self.items, int(_BLOCK_S * self.items / self.seconds)))

    def record(self, count: int, wall_s: float, cpu_s: float | None = None) -> None:
        self.items += count
        self.seconds += wall_s


class CappedPace:
    """Another pace whose blocks hold at most so many items: a consumer waits for each of them."""

    __slots__ = ("_most", "_pace")

    def __init__(self, pace: Pace | EvenPace, most: int) -> None:
        self._pace = pace
        self._most = most

    def block(self) -> int:
        return min(self._most, self._pace.block())

    def record(self, count: int, wall_s: float, cpu_s: float | None = None) -> None:
        self._pace.record(count, wall_s, cpu_s)


def function_of(fn: Any) -> Hashable:
    """What the cost of a function is remembered under: its code, so that a lambda in a loop is one function.

    Numbers and texts that a `functools.partial` fixes are part of it: they may decide how long it takes.
    """
    if _is_cached(fn):
        inner = getattr(fn, "memo", fn).__wrapped__
        return type(fn), function_of(inner)  # hits count, so another cost than the function alone
    if isinstance(fn, partial):
        fixed = (*map(_value, fn.args), *((name, _value(value)) for name, value in fn.keywords.items()))
        return function_of(fn.func), fixed
    code = getattr(getattr(fn, "__func__", fn), "__code__", None)
    if isinstance(code, CodeType):
        return code
    return fn if isinstance(fn, type | BuiltinFunctionType) else type(fn)


@cache
def _host() -> Resources:
    """The machine we run on; what takes long to look up is believed for a second, as there may be many calls in one."""
    resources: Resources = _module("engine._resources").HostResources(remember_s=1.0)
    return resources


@cache
def _module(name: str) -> Any:
    """A module of ours, loaded with its first use. To say ``import`` there takes 30 µs of each call: caches are cold."""
    return import_module(f"fanwise.{name}")


def _value(argument: Any) -> int | float | str:
    return argument if isinstance(argument, int | float | str) else type(argument).__qualname__


def _is_cached(fn: Any) -> bool:
    """Whether results of this function are looked up, by a cache of ours or by `functools.lru_cache`."""
    loaded = sys.modules.get("fanwise._api._cached")
    return (loaded is not None and isinstance(fn, loaded.CachedFn)) or isinstance(fn, _LRU_CACHED)


def budget_of(options: Options, resources: Resources) -> tuple[int, int, str]:
    """Workers, cores and the reason for a call: inside a worker its share of the cores, else what the machine has."""
    allowed = _task.budget()
    if allowed is not None:
        return min(options.workers or allowed, allowed), allowed, "nested"
    machine = _module("engine._resources")
    found: Budget = machine.budget(resources, wanted=options.workers, nested=machine.is_nested())
    return found.workers, found.cores, found.why


def limits_of(resources: Resources, budgeted: int, workers: int, why: str) -> tuple[Decision, ...]:
    """What keeps workers below the cores of the machine, unless the caller said how many: memory, load, a quota."""
    if workers < budgeted:
        free = size(resources.memory().available)
        return (decide("workers.memory", workers=workers, wanted=budgeted, each=size(_EACH_BYTES), free=free),)
    if why not in {"load", "quota", "affinity"}:
        return ()
    cores = resources.cores()
    if why == "load":
        return (decide("workers.load", workers=workers, wanted=cores.usable, load=resources.busy()),)
    if why == "quota":
        return (decide("workers.quota", workers=workers, quota=f"{cores.quota:.1f}", cores=cores.machine),)
    return (decide("workers.affinity", workers=workers, usable=cores.usable, cores=cores.machine),)


class Advice:
    """Asks the plan after each block, and gives it what it wants to know."""

    def __init__(
        self, fn: Callable[..., Any], source: Source, options: Options, resources: Resources | None = None
    ) -> None:
        self._fn = fn
        self._source = source
        self._options = options
        self._given = resources
        self._function = function_of(fn)
        self._facts: Machine | None = None
        self._ahead: Machine | None = None  # facts for starting workers from another thread
        self._warm = 0 if options.executor is None else options.executor.idle()
        guess = Machine(cores=2, workers=options.workers or 2, asked=options.workers is not None, warm=self._warm)
        self.pace = Pace(source.total, guess, EXPERIENCE.costs, EXPERIENCE.recall(self._function))

    def at_once(self) -> FanOut | Stay:
        """What the plan says before the first item: something only of a function that is known to take long.

        A short item is run first, for these may be shorter than those of the last call. And with a cache the first
        look-ups tell whether all has been computed since.
        """
        worth = _WORTH_SENDING_S if self._warm else _WORTH_STARTING_S
        if not self.pace.knows or self.pace.cost_s < worth or _is_cached(self._fn):
            return STAY
        self._look()
        verdict = self.pace.verdict()
        return verdict if isinstance(verdict, FanOut) else STAY

    def first_look_s(self) -> float:
        """When to ask for the first time whether workers should begin while the first item runs.

        Five times what their start keeps this process from: a twentieth of the loop, if four items are like the first.
        """
        loads = _DRIVES not in sys.modules
        return max(_SOON_S, 5 * (EXPERIENCE.costs.launch_s + loads * _LOAD_S))

    def ahead(self, so_far_s: float, cpu_s: float) -> FanOut | Stay:
        """What the plan says while the first item runs: asked by another thread, so forking is out of the question."""
        if not self._starts_beside():
            return STAY
        if self._ahead is None:
            self._ahead = self._machine()
        pace = Pace(self._source.total, self._ahead, EXPERIENCE.costs)
        pace.record(1, so_far_s, cpu_s)
        verdict = pace.ahead()
        if verdict is STAY or not (is_light(self._fn) and is_light(self._source.take(1, 1))):
            return STAY
        return verdict

    def _starts_beside(self) -> bool:
        """Whether nobody asked for another start method than the one that is safe beside a running item."""
        executor = self._options.executor
        asked = (None if executor is None else executor.asked_method) or os.environ.get("FANWISE_START_METHOD")
        return not asked or asked == "forkserver"

    def ask(self, loop: LocalLoop) -> FanOut | Stay:
        """What the plan says now; facts of the machine are measured when it first wants to fan out."""
        verdict = self.pace.verdict()
        if verdict is STAY:
            return STAY
        if self._facts is None:
            self._look()
            verdict = self.pace.verdict()
        if verdict is WEIGH:
            self._weigh(loop)
            verdict = self.pace.verdict()
        return verdict if isinstance(verdict, FanOut) else STAY

    def closing(self) -> Decision:
        """Why everything ran here."""
        return self.pace.closing()

    def learn(self) -> None:
        """Keep what the function cost for the next call."""
        memory = self.pace.memory()
        if memory is not None:
            EXPERIENCE.learn(self._function, memory)

    def learn_from_workers(self, cost_s: float) -> None:
        """Keep what items cost in workers for the next call, if that says something else."""
        known = EXPERIENCE.recall(self._function)
        if known is not None:
            EXPERIENCE.learn(self._function, known.corrected(cost_s))

    def invest(self) -> None:
        """All has run here: workers that would have been of use are started for the next call, once they are worth it.

        Those of an executor, or the fork server, without waiting for them. Both cost too much for any single call.
        """
        costs, executor = EXPERIENCE.costs, self._options.executor
        if not self.pace.missed(costs.warm_s):
            return
        facts = self._look()
        workers = min(facts.workers, self.pace.items)
        if executor is not None:
            executor.missed(self.pace.missed(costs.warm_s), costs.away(facts, workers))
        else:
            ready = replace(facts, load_s=0.0, server_running=True)
            price = costs.base(facts) - costs.base(ready)
            if price and EXPERIENCE.rent.pay(self.pace.missed(costs.start(ready, workers) + costs.end_s), price):
                self._prepare(facts)

    def _prepare(self, facts: Machine) -> None:
        """Have the next call find what it needs for workers, or count it as paid."""
        EXPERIENCE.worth_loading = True
        if facts.method == "forkserver" and not facts.server_running:
            from fanwise.backends.process import start_server

            start_server(self._fn)

    def finds_warm(self, workers: int) -> bool:
        """Whether so many workers are running already: there is no start to learn from."""
        return self._facts is not None and self._facts.warm >= workers

    def wait_s(self, plan: FanOut) -> float:
        """How long workers are to be waited for: those that are forked take items as soon as they exist."""
        return 0.0 if self._facts is not None and self._facts.method == "fork" else plan.start_s

    def learn_start(self, workers: int, seconds: float, settling_s: float) -> None:
        """Keep how long workers took to start, for the next plan; the first start of a process also loads modules."""
        if self._facts is not None and EXPERIENCE.note_start() > 1:
            EXPERIENCE.costs = EXPERIENCE.costs.learned_start(self._facts, workers, seconds, settling_s)

    def _look(self) -> Machine:
        """Facts of this process, measured once a call; the plan goes by them from now on."""
        if self._facts is None:
            self._facts = self._machine()
            self.pace.relocate(self._facts)
        return self._facts

    def _machine(self) -> Machine:
        """Facts of this process: looking them up takes about 0.2 ms."""
        process = _module("backends.process")
        resources = self._given or _host()
        workers, cores, why = budget_of(self._options, resources)
        executor = self._options.executor
        if executor is not None:
            workers = min(workers, executor.workers)
        rss = resources.rss()
        memory = resources.memory().available
        most = max(1, int(0.8 * memory / _EACH_BYTES))
        if resources.busy() >= cores:
            most = min(most, workers)  # items that wait for a core look like items that wait for something else
        warm = 0 if executor is None else executor.idle()
        if executor is None:
            method = process.start_method(None)
        else:
            method = executor.start_method() if warm < workers else ""
        inherits = executor is None and method == "fork" and self._source.inheritable
        return Machine(
            cores=cores,
            workers=min(workers, most),
            asked=self._options.workers is not None,
            most=most,
            method=method,
            warm=warm,
            kept=executor is not None,
            server_running=process.server_running(),
            rss_mb=rss / 1e6,
            inherits=inherits,
            load_s=0.0 if _DRIVES in sys.modules or EXPERIENCE.worth_loading else _LOAD_S,
            preload_s=_NUMPY_S if "numpy" in sys.modules else 0.0,
            single=("serial.nested" if why == "nested" else "serial.one-core") if workers < 2 else "",
            why=why,
            limits=limits_of(resources, workers, min(workers, most), why),
        )

    def _weigh(self, loop: LocalLoop) -> None:
        """Pickle the last result (and one item, if items are to be sent): their size is part of the price.

        Its time is part of it too, without what any call costs: results travel many at once. It is the least of what is
        left after the first time, since that of something small is soon a multiple, and would be remembered.
        """
        result = pickled_size(loop.values[-1]) if loop.values else 0
        item = 0 if self._source.inheritable else pickled_size(self._source.item(loop.at - 1))
        took = seconds_to_pickle(loop.values[-1]) if loop.values else 0.0
        if _CALL_S < took < _SOON_PICKLED_S:
            took = min(took, seconds_to_pickle(loop.values[-1]), seconds_to_pickle(loop.values[-1]))
        self.pace.weighed(result, item, max(0.0, took - _CALL_S))


def is_light(thing: Any) -> bool:
    """Whether something can be sent to workers without much copying: only a fork would share it."""
    from fanwise.backends.process import is_below

    return is_below(thing, _LIGHT_BYTES)


def seconds_to_pickle(thing: Any) -> float:
    """How long it takes."""
    start = perf_counter()
    pickled_size(thing)
    return perf_counter() - start


def pickled_size(thing: Any) -> int:
    """Bytes of a thing on the wire; 0 if it cannot be pickled, which is found out in earnest later."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        size = len(pickle.dumps(thing, 5, buffer_callback=buffers.append))
    except Exception:  # noqa: BLE001  # whatever an object's reducer raises
        return 0
    return size + sum(buffer.raw().nbytes for buffer in buffers)
