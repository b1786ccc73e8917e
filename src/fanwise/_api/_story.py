"""What happened in a call, told to whoever listens: the report always, progress once the run has lasted a while."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from fanwise import _task
from fanwise._api._endings import Ending
from fanwise._api._host import host_facts, load_now
from fanwise._api._local import LocalLoop, News
from fanwise._api._options import LOCAL_BACKENDS
from fanwise.engine._sentences import Decision
from fanwise.records._record import record

if TYPE_CHECKING:
    from fanwise._api._options import Options
    from fanwise._api._telling import Teller
    from fanwise.progress import Guard
    from fanwise.records.run_events import RunEvent
    from fanwise.records.scheduling import Command, Event
    from fanwise.report import RunReport
    from fanwise.typing import Clock, Progress

__all__ = ["Begun", "Decided", "Entry", "Heard", "Story", "Stretch", "label_of"]

_PROGRESS_FROM_S = 0.5  # a bar appears after a second; before that nobody need look
_TICK_S = 0.1
_LONG_S = 0.01  # of a call whose report may say something of the machine at its start
_EARLY = 1_000


@record
class Begun:
    """The run began, with so many items (None: nobody knows)."""

    total: int | None
    label: str


@record
class Decided:
    """A decision of the plan, and the item before which it was made."""

    at: float
    decision: Decision
    item: int | None


@record
class Stretch:
    """Blocks that ran in the calling process."""

    at: float
    first: int
    news: News
    resumed: tuple[int, ...] = ()
    cached: tuple[tuple[int, int], ...] = ()


@record
class Heard:
    """One step of the scheduler."""

    event: Event
    commands: Sequence[Command]


Entry: TypeAlias = "Begun | Decided | Stretch | Heard | RunEvent"
"""What a story keeps: events, or what becomes events once somebody listens."""


class Story:
    """Keeps the run events of one call, passes them on to a progress display, and folds them into a report at the end.

    Nothing is made, or loaded, before it is needed: a call that ends within half a second without a report costs a list.
    That holds the results too, unless they are ``dropped`` once the consumer has them.
    """

    def __init__(
        self, fn: Callable[..., Any], total: int | None, options: Options, clock: Clock, *, dropped: bool = False
    ) -> None:
        self.began = clock.now()
        self._wall_began = clock.time()
        self._fn = fn
        self._label = label_of(fn)
        self._total = total
        self._asked: str | Progress = "none" if is_inner() else options.progress
        self._options = options
        self._clock = clock
        self._early: list[Entry] = [Begun(total, self._label)]
        self._made: Teller | None = None
        self._is_driven = False
        self._dropped = dropped
        self._progress: Guard | None = None
        self._next_item = 0
        self.report: RunReport | None = None
        self.cache: Callable[[], Sequence[Mapping[str, Any]]] = tuple
        self._load: float | None = None
        self._crew: tuple[str, int] | None = None
        self._known: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<Story of {self._label}, {len(self._early)} events at hand>"

    @property
    def watched(self) -> bool:
        """Whether a display is open, or an object of the caller waits for the report."""
        return self._progress is not None or not isinstance(self._asked, str)

    def _keep(self, entry: Entry) -> None:
        """Keep an entry, and pass it on to the display."""
        self._early.append(entry)
        if self._progress is not None or len(self._early) > _EARLY:
            self._flush()

    def hear(self, event: Event, commands: Sequence[Command]) -> None:
        """One step of the scheduler."""
        self._is_driven = True
        if self._dropped:
            for happened in self._teller().heard(event, commands):
                self._keep(happened)
        else:
            self._keep(Heard(event, commands))

    def hired(self, backend: str, workers: int) -> None:
        """Items are sent to so many workers of a backend."""
        self._crew = backend, workers
        self._load = load_now()

    def know(self, **facts: Any) -> None:
        """What only its owner can say of the run: fields of `RunFacts` such as ``bundles``, ``warnings``."""
        self._known.update(facts)

    def tick(self, now: float) -> float | None:
        """Time has passed: begin to show progress, or redraw it; the answer is when to come again."""
        if self._progress is None:
            if self._asked == "none":
                return None
            if isinstance(self._asked, str) and now - self.began < _PROGRESS_FROM_S:
                return self.began + _PROGRESS_FROM_S
            self._show()
        if self._progress is not None:
            self._progress.tick(now - self.began)
        return now + _TICK_S

    def decide(self, decision: Decision, item: int | None = None) -> None:
        """A decision of the plan."""
        self._keep(Decided(self._at(), decision, item))

    def decide_all(self, decisions: Sequence[Decision], item: int) -> None:
        """Decisions that were made at once, before an item."""
        for decision in decisions:
            self.decide(decision, item)

    def stretch(self, loop: LocalLoop, resumed: Sequence[int] = (), cached: Sequence[tuple[int, int]] = ()) -> None:
        """What was run in the calling process since the last call; looked at only if somebody does."""
        stretch = Stretch(self._at(), self._next_item, loop.news(), tuple(resumed), tuple(cached))
        self._next_item = loop.at
        if self._load is None and stretch.at > _LONG_S:
            self._load = load_now()
        self._keep(stretch)
        self.tick(self.began + stretch.at)

    def end(self, ending: Ending, closing: Callable[[], Decision] | None = None) -> RunReport:
        """Close the display and fold the report; a second call returns the same one.

        ``closing`` says why everything ran here, if it did.
        """
        if self.report is None:
            teller = self._teller()
            if closing is not None and not self._is_driven:
                self.decide(closing())
            if not teller.hears_end(self._early):  # a closed stream ends without the scheduler
                self._keep(teller.ended(self._at(), ending.reported))
            if self._progress is None and self.watched:
                self._show()
            self._flush()
            self.report = teller.report(self._at(), self._facts() | self._known)
            if self._progress is not None:
                self._progress.finish(self.report)
        return self.report

    def _flush(self) -> None:
        """Hand what was kept to the report and the display."""
        early, self._early = self._early, []
        for entry in early:
            for event in self._teller().tell(entry):
                if self._progress is not None:
                    self._progress.on(event)

    def _teller(self) -> Teller:
        if self._made is None:
            from fanwise._api._telling import Teller

            self._made = Teller(self.began)
        return self._made

    def _facts(self) -> dict[str, Any]:
        """What this call knows of itself."""
        fn = self._fn
        name, workers = self._crew or ("", None)
        resume = self._options.resume
        return {
            "function": f"{getattr(fn, '__module__', None) or '?'}.{getattr(fn, '__qualname__', self._label)}",
            "started_at": self._wall_began,
            "backend": "" if name in LOCAL_BACKENDS else name,
            "workers": workers,
            "resumed_from": None if resume is None else os.fspath(resume),
            "options": self._options.described(),
            "cache": self.cache(),
            "host": partial(host_facts, self._load or load_now(), workers if name == "process" else None),
        }

    def _show(self) -> None:
        """Begin to show progress, with what has happened so far."""
        from fanwise import progress

        asked = self._asked
        self._progress = progress.Guard(progress.by_name(asked) if isinstance(asked, str) else asked)
        self._progress.start(self._total, self._label)
        self._flush()

    def _at(self) -> float:
        return self._clock.now() - self.began


def is_inner() -> bool:
    """Whether this call is made by an item of another run, whose display counts it."""
    return _task.budget() is not None or _task.current_task() is not None


def label_of(fn: Callable[..., Any]) -> str:
    """The name under which a function's run is shown."""
    while isinstance(fn, partial):
        fn = fn.func
    name = getattr(fn, "__name__", None)
    return name if isinstance(name, str) and name else type(fn).__name__
