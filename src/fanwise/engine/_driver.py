"""The hands of the scheduler: performs its commands with one crew and tells it what happened.

One turn is: wait for the crew, hear what happened, do what the scheduler says. The driver decides nothing; what looks
like a decision here (how long to wait, when to look at memory) is only when to ask.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any, Protocol

from fanwise.engine._interrupts import Interrupts
from fanwise.engine._replay import Replay
from fanwise.engine._resources import Resources
from fanwise.records import scheduling as s
from fanwise.records.chunks import HERE, Chunk
from fanwise.records.outcomes import Failed, Lost, Settled
from fanwise.typing import Clock, Crew, InterruptPolicy

__all__ = ["Driver", "Hands", "ItemSource", "Listener", "Mind"]

MEMORY_EVERY_S = 0.5
_LOW, _VERY_LOW, _RECOVERED = 0.10, 0.02, 0.15
_QUICK_DRAW_S = 1e-3


class Mind(Protocol):
    """The scheduler, as the driver sees it."""

    def step(self, event: s.Event) -> list[s.Command]:
        """Hear one event; say what is to be done."""


class ItemSource(Protocol):
    """The input, as the driver sees it."""

    def draw(self, count: int) -> Any:
        """Bring up to ``count`` items to hand; the answer has ``count``, ``ended`` and ``error``."""


class Listener(Protocol):
    """Whoever follows the run: progress, report, trace, log."""

    def hear(self, event: s.Event, commands: Sequence[s.Command]) -> None:
        """One step of the scheduler."""

    def tick(self, now: float) -> float | None:
        """Time has passed; the answer is when to come again."""


@dataclass(slots=True)
class Hands:
    """What a driver works with.

    ``source`` is None when items are pushed from outside as `Drawn` events; ``here`` is the calling process as a crew of
    one, None where no item may run there; ``is_dropped`` says of a chunk about to be sent that nobody wants it any more.
    """

    crew: Crew
    source: ItemSource | None
    clock: Clock
    listener: Listener
    interrupts: Interrupts
    resources: Resources
    here: Crew | None = None
    replay: Replay = field(default_factory=Replay)
    policy: InterruptPolicy = field(default_factory=InterruptPolicy)
    deadline: float | None = None
    quiet_after_failure: bool = False
    is_dropped: Callable[[Chunk], bool] | None = None


class Driver:
    """Drives one run. ``settled`` collects what was emitted; ``finish`` says how the run ended, once it has."""

    def __init__(self, mind: Mind, hands: Hands) -> None:
        self.settled: deque[Settled] = deque()
        self.finish: s.Finish | None = None
        self._mind = mind
        self._hands = hands
        self._quiet = False
        self._wanted = 0
        self._draw_block = 1
        self._wake_at: float | None = None
        self._interrupts_seen = 0
        self._grace_ends: float | None = None
        self._memory_at: float | None = None
        self._memory_level = 0
        self._events: deque[s.Event] = deque()
        self._from_here: list[s.Event] = []
        self._perform: dict[type, Callable[[Any], None]] = {
            s.Draw: self._on_draw,
            s.StartWorkers: lambda command: hands.crew.start(command.count),
            s.Send: self._on_send,
            s.CancelChunk: lambda command: hands.crew.cancel(command.worker, command.chunk),
            s.Kill: lambda command: hands.crew.kill(command.worker, command.reason),
            s.Retire: lambda command: hands.crew.retire(command.worker),
            s.RunHere: self._on_run_here,
            s.Emit: self._on_emit,
            s.WakeAt: self._on_wake_at,
            s.Finish: self._on_finish,
        }

    def __repr__(self) -> str:
        return f"<Driver {len(self.settled)} settled, {self.finish or 'running'}>"

    def feed(self, event: s.Event) -> None:
        """Tell the scheduler what happened and do what it says, down to what follows from that at once."""
        self._events.append(event)
        while self._events and self.finish is None:
            now_fed = self._events.popleft()
            commands = self._mind.step(now_fed)
            self._hands.listener.hear(now_fed, commands)
            for command in commands:
                perform = self._perform.get(type(command))
                if perform is not None:
                    perform(command)

    def turn(self, patience: float | None = None) -> None:
        """Wait until something happens, at most ``patience`` seconds, and see it through."""
        if self.finish is not None:
            return
        self._draw_some()
        if self.finish is not None:  # the input ended, and all that it brought is settled
            return
        happened = self._hands.crew.wait(self._how_long(patience))
        here, self._from_here = self._from_here, []
        for event in (*happened, *here):  # workers that are ready come before the next block in this process
            if isinstance(event, s.Printed):
                self.print_raw(event)
            else:
                self.feed(event)
        self._look_at_the_clock()

    def print_raw(self, event: s.Printed) -> None:
        """Pass on what a worker wrote past Python."""
        self._hands.replay.write("stdout" if event.fd == 1 else "stderr", event.text)

    def _how_long(self, patience: float | None) -> float | None:
        if self._wanted or self.settled or self._from_here or self._hands.interrupts.count > self._interrupts_seen:
            return 0.0  # what a draw settled at once is for the consumer, who may be all that goes on
        now = self._hands.clock.now()
        ends = [self._wake_at, self._grace_ends, self._memory_at, self._hands.listener.tick(now)]
        if self._grace_ends is None:
            ends.append(self._hands.deadline)
        if patience is not None:
            ends.append(now + patience)
        known = [end for end in ends if end is not None]
        return max(0.0, min(known) - now) if known else None

    def _look_at_the_clock(self) -> None:
        hands = self._hands
        now = hands.clock.now()
        while hands.interrupts.count > self._interrupts_seen:
            self._interrupts_seen += 1
            self._stop(now, s.Interrupt(now, self._interrupts_seen, hands.interrupts.signal))
        if self._grace_ends is not None and now >= self._grace_ends:
            self._grace_ends = None
            self.feed(s.Interrupt(now, 2, hands.interrupts.signal))
        elif hands.deadline is not None and now >= hands.deadline:
            hands.deadline = None
            self._stop(now, s.Deadline(now))
        if self._memory_at is not None and now >= self._memory_at:
            self._memory_at = now + MEMORY_EVERY_S if hands.crew.running() else None
            self._look_at_memory(now)
        if self._wake_at is not None and now >= self._wake_at:
            self._wake_at = None
            for worker, index, since in hands.crew.running():
                self.feed(s.Running(now, worker, index, since))
            self.feed(s.Tick(now))

    def _stop(self, now: float, event: s.Event) -> None:
        """Ask running items to come to an end, and wait for them no longer than the grace."""
        if self._grace_ends is None:
            self._grace_ends = now + self._hands.policy.grace
        self._hands.crew.interrupt()
        self.feed(event)

    def _look_at_memory(self, now: float) -> None:
        hands = self._hands
        memory, sizes = hands.resources.memory(), hands.crew.sizes()
        hands.listener.hear(s.MemorySeen(now, memory.available, hands.resources.rss(), tuple(sizes.items())), ())
        share = memory.available / max(1, memory.limit)
        level = 2 if share < _VERY_LOW else 1 if share < _LOW else 0 if share > _RECOVERED else self._memory_level
        if level != self._memory_level or level == 2:
            self._memory_level = level
            largest = max(sizes, key=sizes.__getitem__) if sizes else None
            self.feed(s.MemoryLow(now, level, largest))

    def _on_draw(self, command: s.Draw) -> None:
        if self._hands.source is not None:
            self._wanted += command.count

    def _draw_some(self) -> None:
        """Draw in blocks that double while the input is quick, and singly where it makes us wait."""
        clock, source = self._hands.clock, self._hands.source
        if source is None or not self._wanted:
            return
        start = clock.now()
        drawing = source.draw(min(self._wanted, self._draw_block))
        now = clock.now()
        self._draw_block = self._draw_block * 2 if now - start < _QUICK_DRAW_S else 1
        self._wanted = 0 if drawing.ended else self._wanted - drawing.count
        if drawing.count:
            self.feed(s.Drawn(now, drawing.count, drawing.known, drawing.cached))
        if drawing.ended:
            self.feed(s.SourceEnded(now, drawing.error))

    def _on_run_here(self, command: s.RunHere) -> None:
        if command.begun:
            return
        here = self._hands.here
        if here is None:
            raise RuntimeError("the scheduler ran an item here in a run that forbids it")
        here.send(HERE, command.chunk)
        with self._hands.interrupts.raising():
            self._from_here.extend(here.wait(0))
        self._from_here.extend(here.wait(0))  # what was finished before an interrupt

    def _on_send(self, command: s.Send) -> None:
        hands, chunk = self._hands, command.chunk
        if hands.is_dropped is not None and hands.is_dropped(chunk):
            # Not as results: those of a later chunk would say that its worker is through with the one before.
            now = hands.clock.now()
            for index in range(chunk.first, chunk.first + chunk.count):
                self._events.append(s.Unsendable(now, command.worker, chunk.id, index, CancelledError()))
            return
        if self._memory_at is None:
            self._memory_at = hands.clock.now() + MEMORY_EVERY_S
        hands.crew.send(command.worker, chunk)

    def _on_emit(self, command: s.Emit) -> None:
        settled = command.settled
        if settled.said and not self._quiet:
            self._hands.replay.say(settled.said)
        if self._hands.quiet_after_failure and isinstance(settled, Failed | Lost):
            self._quiet = True  # the loop would have ended here: what later items said, it would not have heard
        self.settled.append(settled)

    def _on_wake_at(self, command: s.WakeAt) -> None:
        self._wake_at = command.at

    def _on_finish(self, command: s.Finish) -> None:
        self.finish = command
