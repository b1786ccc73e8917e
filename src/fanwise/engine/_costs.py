"""What starting workers and sending items costs on this machine: defaults until measured, then a mean that adapts."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

from fanwise.engine._sentences import Decision
from fanwise.records._record import record

__all__ = ["Costs", "Experience", "Machine", "Remembered", "Rent"]

FORGET = 0.5
MISREMEMBERED = 4.0  # a cost that differs by this factor is another one
COLD_S = 50e-6  # more than a short item takes longer where caches are cold
MOST_REMEMBERED = 256


@record
class Machine:
    """Facts about this process and machine that a plan stands on.

    Attributes
    ----------
    cores : int
        Cores this process may use (affinity, quota).
    workers : int
        Workers to use at most: cores less load, memory, or what the caller said.
    asked : bool
        True if the caller said how many: waiting work may then not use more.
    most : int
        Workers that memory allows, for waiting work.
    method : str
        ``fork``, ``forkserver``, ``spawn`` or ``thread``; empty if none need to start.
    warm : int
        Workers that are running already and idle.
    kept : bool
        Workers that are started stay for other calls.
    server_running : bool
        The fork server is up.
    rss_mb : float
        Resident memory of this process in 10⁶ bytes.
    preload_s : float
        What a new interpreter has to import, seconds.
    pickling_s : float
        Seconds to pickle the function; 0 if inherited.
    load_s : float
        What this process has still to import before it can have workers, seconds.
    inherits : bool
        Workers inherit the items by fork, so that only indexes travel.
    single : str
        Code if all runs here whatever it costs: ``serial.asked``, ``serial.one-core`` or ``serial.nested``; else empty.
    why : str
        Why only one core may be used.
    limits : tuple of Decision
        What keeps ``workers`` below the cores of this machine.
    """

    cores: int
    workers: int
    asked: bool = False
    most: int = 32
    method: str = "fork"
    warm: int = 0
    kept: bool = False
    server_running: bool = False
    rss_mb: float = 50.0
    preload_s: float = 0.0
    pickling_s: float = 0.0
    load_s: float = 0.0
    inherits: bool = False
    single: str = ""
    why: str = ""
    limits: tuple[Decision, ...] = ()


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds, measured on Linux with two cores; `updated` replaces them by what this process sees.

    Attributes
    ----------
    fork_s, fork_each_s, fork_mb_s : float
        A burst of forks: once, per worker, per worker and MB resident.
    settle_s : float
        A forked worker, from where it exists until it is at its first item.
    server_cold_s, server_warm_s : float
        The fork server: with its start, without.
    launch_s : float
        To ask for a new interpreter or fork server, without waiting for it.
    spawn_s : float
        One new interpreter.
    warm_s, thread_s : float
        To reach workers that are running; to start a thread.
    end_s : float
        To end worker processes that nobody keeps.
    chunk_s, item_s : float
        Overhead per chunk and per item.
    bytes_per_s : float
        Pickling and transport of large objects.
    """

    fork_s: float = 0.3e-3
    fork_each_s: float = 0.12e-3
    fork_mb_s: float = 0.02e-3
    settle_s: float = 1e-3
    server_cold_s: float = 60e-3
    server_warm_s: float = 4e-3
    launch_s: float = 5e-3
    spawn_s: float = 100e-3
    warm_s: float = 0.1e-3
    thread_s: float = 0.1e-3
    end_s: float = 3e-3
    chunk_s: float = 12e-6
    item_s: float = 0.2e-6
    bytes_per_s: float = 1.5e9

    def updated(self, **measured: float) -> Costs:
        """Each named cost moved half way to what was measured. Values that are not positive are ignored."""
        moved = {
            name: getattr(self, name) * (1 - FORGET) + value * FORGET for name, value in measured.items() if value > 0
        }
        return replace(self, **moved)

    def start(self, machine: Machine, workers: int) -> float:
        """Seconds until ``workers`` new workers can be sent items."""
        return self.base(machine) + max(0, workers - machine.warm) * self.each(machine, workers)

    def away(self, machine: Machine, workers: int) -> float:
        """Seconds that starting workers keeps the caller from other things, if it does not wait for them."""
        return self.start(machine, workers) if machine.method == "fork" else machine.load_s + self.launch_s

    def base(self, machine: Machine) -> float:
        """The part of a start that does not grow with the number of workers."""
        if machine.warm:
            return self.warm_s
        once = {
            "fork": self.fork_s,
            "forkserver": self.server_warm_s if machine.server_running else self.server_cold_s + machine.preload_s,
            "thread": 0.0,
        }
        return once.get(machine.method, machine.preload_s) + machine.pickling_s + machine.load_s

    def each(self, machine: Machine, workers: int) -> float:
        """The part of a start that every further worker adds."""
        per_worker = {
            "fork": self.fork_each_s + self.fork_mb_s * machine.rss_mb,
            "forkserver": self.fork_each_s,
            "thread": self.thread_s,
        }
        return per_worker.get(machine.method, self.spawn_s / min(workers, machine.cores))

    def settle(self, machine: Machine) -> float:
        """Seconds that a new worker has items before it begins with them: it was forked a moment ago."""
        return self.settle_s if machine.method == "fork" and not machine.warm else 0.0

    def end(self, machine: Machine) -> float:
        """Seconds that the caller waits at the end for workers to be gone."""
        return 0.0 if machine.kept or machine.warm or machine.method == "thread" else self.end_s

    def learned_start(self, machine: Machine, workers: int, seconds: float, settling_s: float = 0.0) -> Costs:
        """Updated by a start that took ``seconds``; what differs is put on the constant that varies most."""
        return self._learned(machine, workers, seconds).updated(settle_s=settling_s)

    def _learned(self, machine: Machine, workers: int, seconds: float) -> Costs:
        new = workers - machine.warm
        if machine.warm and new <= 0:
            return self.updated(warm_s=seconds)
        if machine.method == "fork":
            each, pages = (seconds - self.fork_s) / new, self.fork_mb_s * machine.rss_mb
            if each <= pages:  # less than was put on the pages alone
                return self.updated(fork_mb_s=each / (machine.rss_mb or 1.0))
            return self.updated(fork_each_s=each - pages)
        if machine.method == "forkserver":
            alone = seconds - new * self.fork_each_s - machine.pickling_s
            if machine.server_running:
                return self.updated(server_warm_s=alone)
            return self.updated(server_cold_s=alone - machine.preload_s)
        if machine.method == "thread":
            return self.updated(thread_s=seconds / new)
        return self.updated(spawn_s=seconds * min(workers, machine.cores) / new)


@record
class Remembered:
    """What one function cost last time: seconds per item, cores kept busy, bytes and pickling seconds per result."""

    cost_s: float
    use: float = 1.0
    result_bytes: float = 0.0
    codec_s: float = 0.0

    def is_belied_by(self, count: int, seconds: float) -> bool:
        """Whether items cost something else by a factor, and by more than cold caches make of a short one."""
        known = count * self.cost_s
        return abs(seconds - known) > COLD_S and not known / MISREMEMBERED <= seconds <= known * MISREMEMBERED

    def corrected(self, cost_s: float) -> Remembered:
        """After workers have seen that items cost so much: never less than alone, but more while they hinder each other."""
        return self if self.cost_s <= cost_s <= MISREMEMBERED * self.cost_s else replace(self, cost_s=cost_s)


class Rent:
    """What was lost so far by doing without something that pays in no single call: it is bought once that is its price."""

    __slots__ = ("paid_s",)

    def __init__(self) -> None:
        self.paid_s = 0.0

    def pay(self, seconds: float, price_s: float) -> bool:
        """Count what one more call has lost; True if the time to buy has come, from when on the count is anew."""
        self.paid_s += seconds
        if self.paid_s < price_s:
            return False
        self.paid_s = 0.0
        return True


class Experience:
    """What this process has learned: costs of its machine and of functions it ran. Never written to disk.

    ``rent`` counts what was lost by having neither a fork server nor loaded what drives workers, ``worth_loading`` says
    that the latter is paid.
    """

    __slots__ = ("_functions", "_starts", "costs", "rent", "worth_loading")

    def __init__(self, costs: Costs | None = None) -> None:
        self.costs = costs or Costs()
        self.rent = Rent()
        self.worth_loading = False
        self._starts = 0
        self._functions: dict[Hashable, Remembered] = {}

    def note_start(self) -> int:
        """Count a start of workers; how many there were."""
        self._starts += 1
        return self._starts

    def recall(self, function: Hashable) -> Remembered | None:
        """What the function (its code object) cost last time."""
        return self._functions.get(function)

    def learn(self, function: Hashable, cost: Remembered) -> None:
        """Keep what a function cost; the oldest entry goes when there are many."""
        self._functions.pop(function, None)
        self._functions[function] = cost
        if len(self._functions) > MOST_REMEMBERED:
            del self._functions[next(iter(self._functions))]
