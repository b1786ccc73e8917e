"""Whether to fan out, when, and with how many workers.

Items run in the calling process first. After each block the plan compares what is left with what workers would need
for it. Starting them is the classic ski-rental problem (Karlin et al. 1988): work here is the rent, the start of
workers the price. Buying when the rent paid equals the price bounds the total by twice the best in the worst case.
"""

from __future__ import annotations

from itertools import pairwise
from math import isqrt

from fanwise._format import duration
from fanwise.engine._costs import Costs, Machine, Remembered
from fanwise.engine._sentences import Decision, decide
from fanwise.records._record import record

__all__ = ["STAY", "WEIGH", "FanOut", "Pace", "Stay", "Weigh"]

LEAST_LEFT_S = 3e-3
LEAST_GAIN = 0.8  # of the time here: busy cores slow each other down, a predicted 2 × was 1.55 × in runs of 50 ms
WORTH_MISSING_S = 10e-3
BLOCK_S = 1e-3
BLOCK_GROWTH = 4
CHUNK_S = 40e-3  # of work that a chunk is to hold
WAITING_USE = 0.3  # below: items wait rather than compute
LEAST_USE = 0.05
COORDINATOR_SHARE = 0.5  # of the overhead of an item, the part the calling process pays itself
LITTLE_S = 0.1  # of work: two at work, of whom one hands out, take 0.87 to 0.98 of the time of three; 1.02 at 0.3 s
COORDINATION = 0.05  # of the work left: what is lost at most if the process that hands out items works itself
MOST_MARKS = 512
FEW_ITEMS = 2
SHORTEST_S = 1e-9


class Stay:
    """Go on here: `STAY`."""

    __slots__ = ()


class Weigh:
    """Pickle the last result, and one item unless items are inherited; tell `Pace.weighed` and ask again: `WEIGH`."""

    __slots__ = ()


@record
class FanOut:
    """Start ``workers`` workers for what is left.

    Attributes
    ----------
    workers : int
        How many.
    cost_s : float
        Expected seconds per item, for the scheduler.
    use : float
        Cores that one item keeps busy.
    start_s : float
        Expected seconds until they can take items.
    decisions : tuple of Decision
        The decision itself, what limits the number of workers, the chunk size.
    caller_s : float
        While no more work than this waits, in seconds, the calling process does the part of one of them.
    end_s : float
        Seconds that a worker takes to end.
    """

    workers: int
    cost_s: float
    use: float
    start_s: float
    decisions: tuple[Decision, ...]
    caller_s: float = 0.0
    end_s: float = 0.0

    @property
    def code(self) -> str:
        return self.decisions[0].code

    @property
    def text(self) -> str:
        return self.decisions[0].text


STAY = Stay()
WEIGH = Weigh()


class Pace:
    """What the local loop has seen, and what follows from it.

    Call `block` for the number of items to run before the clock is read, `record` with what they took, then `verdict`.

    Parameters
    ----------
    total : int or None
        Number of items; None if unknown: as many again as were seen are expected.
    machine : Machine
        Facts about this process.
    costs : Costs
        What workers cost.
    remembered : Remembered or None
        What the same function cost last time.
    """

    __slots__ = (
        "_codec",
        "_costs",
        "_cpu",
        "_cpu_wall",
        "_gap",
        "_half",
        "_item_bytes",
        "_machine",
        "_marks",
        "_remembered",
        "_result_bytes",
        "_total",
        "_weighed",
        "items",
        "seconds",
    )

    def __init__(self, total: int | None, machine: Machine, costs: Costs, remembered: Remembered | None = None) -> None:
        self.items = 0
        self.seconds = 0.0
        self._total = total
        self._machine = machine
        self._costs = costs
        self._remembered = remembered
        self._cpu = self._cpu_wall = 0.0
        self._marks: list[tuple[int, float]] = [(0, 0.0)]  # items and seconds so far, at each reading of the clock
        self._gap = 1  # items between two marks at least
        self._half = 0  # the last mark in the first half of the items
        self._weighed = remembered is not None
        self._result_bytes = remembered.result_bytes if remembered else 0.0
        self._codec = remembered.codec_s if remembered else 0.0
        self._item_bytes = 0.0

    def block(self) -> int:
        """How many items to run before the next reading of the clock.

        A block is four times what was seen, so that the clock costs little, but takes no more than about 1 ms. Where the
        first item has shown that the function costs what it did last time, the second block takes that at once.
        """
        most = BLOCK_GROWTH * self.items
        if not self.items or self.seconds <= 0.0:
            return most or 1
        size = int(BLOCK_S * self.items / self.seconds)
        if self._remembered is not None:
            return max(1, min(size, int(BLOCK_S / max(self._remembered.cost_s, SHORTEST_S))))
        return max(1, min(most, size))

    def record(self, count: int, wall_s: float, cpu_s: float | None = None) -> None:
        """``count`` items took ``wall_s`` seconds, ``cpu_s`` of them on processors, over all threads."""
        self.items += count
        self.seconds += wall_s
        if cpu_s is not None:
            self._cpu += cpu_s
            self._cpu_wall += wall_s
        marks = self._marks
        if self.items - marks[-1][0] >= self._gap:
            marks.append((self.items, self.seconds))
            if len(marks) > MOST_MARKS:
                self._thin()
                marks = self._marks
        while self._half + 1 < len(marks) and marks[self._half + 1][0] * 2 <= self.items:
            self._half += 1
        if self._remembered is not None and self._remembered.is_belied_by(count, wall_s):
            self._remembered = None

    def relocate(self, machine: Machine) -> None:
        """Plan with these facts from now on: looking them up takes 0.2 ms, so not before they matter."""
        self._machine = machine

    def weighed(self, result_bytes: float, item_bytes: float = 0.0, codec_s: float = 0.0) -> None:
        """Sizes of one pickled result and one pickled item, and the seconds it took to pickle both."""
        self._weighed = True
        self._result_bytes = result_bytes
        self._item_bytes = item_bytes
        self._codec = codec_s

    @property
    def knows(self) -> bool:
        """Whether this function ran before."""
        return self._remembered is not None

    @property
    def cost_s(self) -> float:
        """Seconds per item: the mean over the last half of the items seen (costs drift).

        Where the function is remembered, the smaller of both: the memory may stem from a busy machine, the first item
        from one that had to import something. Starting too late costs a little, needlessly a multiple of small work.
        """
        known = self._remembered
        if known is None:
            return self._seen_s()
        return min(known.cost_s, self._seen_s()) if self.items else known.cost_s

    def _seen_s(self) -> float:
        items, seconds = self._marks[self._half]
        return (self.seconds - seconds) / max(1, self.items - items)

    @property
    def use(self) -> float:
        """Cores that running one item at a time keeps busy: 1 for plain Python, 0 for waiting, more with threads."""
        if self._remembered is not None:
            return self._remembered.use
        return self._cpu / self._cpu_wall if self._cpu_wall > 0 else 1.0

    def verdict(self) -> Stay | Weigh | FanOut:
        """Go on here, or fan out now."""
        machine, done, cost = self._machine, self.items, self.cost_s
        if machine.single:
            return STAY
        left = done if self._total is None else self._total - done
        rest = left * cost
        if rest <= LEAST_LEFT_S or left < 2:
            return STAY
        workers = self._workers(left, rest)
        start, expected = self._forecast(left, rest, workers)
        if self.seconds < min(start, rest / 4) and self._remembered is None:
            return STAY
        if expected >= LEAST_GAIN * rest or expected + self._tail(left, rest, workers) >= LEAST_GAIN * rest:
            return STAY
        if not self._weighed and machine.method != "thread":
            return WEIGH
        return self._fan_out(done, left, cost, workers, start, rest - expected)

    def ahead(self) -> Stay | FanOut:
        """Whether workers are to begin while the first item is running, of which the part so far was recorded.

        It is taken for half of the item, and the item for one like the others: long enough, and all could be done
        without it. The calling process counts as one of the workers.
        """
        machine, total, so_far = self._machine, self._total, self.seconds
        if machine.single or total is None or total < 2:
            return STAY
        cost = 2 * so_far
        workers = self._workers(total, cost * total)
        if workers < 2 or (machine.method != "forkserver" and machine.warm < workers - 1):
            return STAY
        left, start = total - 1, self._costs.start(machine, workers - 1)
        expected = so_far + self._expected(left, left * cost, workers, start)
        if self._at_once(workers, total) < 2 or expected >= LEAST_GAIN * total * cost:
            return STAY
        return self._fan_out(1, left, cost, workers, start, total * cost - expected)

    def missed(self, start_s: float) -> float:
        """Seconds that were lost by having run all here, had workers been there ``start_s`` after the first item.

        Nothing is missed by work of less than 10 ms: to find out more about it would cost too much of its time.
        """
        machine, items, rest = self._machine, self.items, self.seconds
        if machine.single or machine.warm or machine.method == "thread" or rest < WORTH_MISSING_S or items < 2:
            return 0.0
        return max(0.0, LEAST_GAIN * rest - self._expected(items, rest, min(machine.workers, items), start_s))

    def closing(self) -> Decision:
        """Why everything ran here, once it has."""
        machine, items = self._machine, self.items
        if machine.single == "serial.one-core":
            return decide(machine.single, why=machine.why)
        if machine.single:
            return decide(machine.single, {})
        if items <= FEW_ITEMS:
            return decide("serial.few-items", n=items)
        workers = min(machine.workers, items)
        started = self._started(workers, self.seconds)
        start, expected = self._forecast(items, self.seconds, workers)
        return decide(
            "serial.too-small",
            {"n": items, "took_s": self.seconds, "workers": started, "start_s": start},
            n=items,
            took=self.seconds,
            workers=started,
            start=duration(start) + self._why_not(start, expected),
        )

    def _why_not(self, start: float, expected: float) -> str:
        """What spoke against workers that start in less time than the items took."""
        if start >= self.seconds:
            return ""
        if expected < LEAST_GAIN * self.seconds:
            return ", which was seen to pay too late"
        return f", and with them it would have taken about {duration(expected)}"

    def memory(self) -> Remembered | None:
        """What to keep of this function for the next call; None if nothing was measured."""
        if not self.items:
            return self._remembered
        return Remembered(self._seen_s(), self.use, self._result_bytes, self._codec)

    def _thin(self) -> None:
        """Keep every other mark, and set new ones half as densely."""
        self._marks = self._marks[::2]
        self._gap = 2 * self.items // MOST_MARKS
        self._half = 0

    def _workers(self, left: int, rest: float) -> int:
        """As many as there are cores for, more for items that wait, fewer where a start costs more than it brings.

        Time with W workers is about ``W · each + rest / W``, least at ``W = sqrt(rest / each)``.
        """
        machine = self._machine
        most = machine.workers
        if self.use < WAITING_USE and not machine.asked:
            most = max(most, min(32, 4 * machine.cores, machine.most))
        each = self._costs.each(machine, most)
        worth = isqrt(int(rest / each)) if machine.warm < most else most
        return max(1, min(most, left, max(2, worth, machine.warm)))

    def _caller_s(self, workers: int) -> float:
        """Seconds of work for which this process does better to take the part of one worker than to hand out only.

        Results of its part need not travel, nor wake it. And one worker fewer has to be started, and to end, unless they
        are there or started for later calls too.
        """
        machine, costs = self._machine, self._costs
        if machine.method == "thread" or self.use < WAITING_USE or (machine.kept and machine.warm < workers):
            return 0.0
        spared = 0.0 if machine.warm else costs.each(machine, 1) + costs.end(machine)
        return max(LITTLE_S, spared / COORDINATION)

    def _started(self, workers: int, rest: float) -> int:
        """How many of the workers are processes of their own."""
        return workers - (rest <= self._caller_s(workers))

    def _at_once(self, workers: int, left: int) -> float:
        """How many items make progress at the same time."""
        return min(workers, left, self._machine.cores / max(self.use, LEAST_USE))

    def _forecast(self, left: int, rest: float, workers: int) -> tuple[float, float]:
        """Seconds until workers that are started now are at work, and until all is done.

        Where this process is one of them, it works meanwhile, and while they end.
        """
        costs, machine = self._costs, self._machine
        started = self._started(workers, rest)
        start, settle, end = costs.start(machine, started), costs.settle(machine), costs.end(machine)
        expected = self._expected(left, rest, workers, start) + (settle + end) * started / workers
        return start + settle, expected

    def _expected(self, left: int, rest: float, workers: int, start: float) -> float:
        """Seconds until all is done if workers are started now and all items cost the same."""
        costs, cost = self._costs, rest / left
        at_once = self._at_once(workers, left)
        work = max(rest / at_once, -(-left // workers) * cost)  # three items on two workers take two rounds
        chunk = max(1.0, min(CHUNK_S / cost, left / (2 * workers)))
        moved = (0.0 if self._machine.inherits else self._item_bytes) + self._result_bytes
        codec = max(moved / costs.bytes_per_s, 2 * self._codec)
        overhead = costs.chunk_s / chunk + costs.item_s + codec
        return start + work + left * overhead * max(1 / at_once, COORDINATOR_SHARE)

    def _tail(self, left: int, rest: float, workers: int) -> float:
        """What one long item adds at the end."""
        return max(0.0, self._quantile() - rest / self._at_once(workers, left))

    def _quantile(self) -> float:
        """The 75 % quantile of the cost of an item over the last half, blocks counting as their mean."""
        marks = self._marks[self._half :]
        costs = sorted((b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(marks))
        return costs[int(0.75 * (len(costs) - 1))] if costs else 0.0

    def _fan_out(self, done: int, left: int, cost: float, workers: int, start: float, gain: float) -> FanOut:
        rest = left * cost
        size = max(1, int(min(CHUNK_S / cost, left / (2 * workers))))
        started = self._started(workers, rest)
        facts = {
            "items_here": done, "seconds_here": self.seconds, "workers": started, "caller_works": started < workers,
            "left_s": rest, "gain_s": gain, "start_s": start, "item_s": cost, "use": self.use,
            "result_bytes": self._result_bytes,
        }  # fmt: skip
        code = "fan-out.warm" if self._machine.warm else "fan-out"
        words = {"here": done, "took": self.seconds, "left": rest, "gain": gain}
        chosen = decide(code, facts, workers=started, item=done, **words)
        sized = {"chunk_size": size, "item_s": cost, "aim_s": CHUNK_S}
        chunks = decide("chunk.size", sized, size=size, each=cost, aim=CHUNK_S)
        limits = self._machine.limits if workers == self._machine.workers else ()
        caller_s, end_s = self._caller_s(workers), self._costs.end(self._machine)
        return FanOut(workers, cost, self.use, start, (chosen, *limits, chunks), caller_s, end_s)
