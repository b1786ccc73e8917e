"""The driver performs what it is told, in order, and asks at the right times; it decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from fanwise.engine._driver import Driver, Hands
from fanwise.engine._interrupts import NoInterrupts
from fanwise.engine._replay import Replay
from fanwise.engine._resources import Cores, Memory
from fanwise.records import scheduling as s
from fanwise.records.chunks import HERE, Chunk
from fanwise.records.outcomes import Batch, Failed, Said
from fanwise.testing import FakeClock
from fanwise.typing import InterruptPolicy


class Diary:
    """A crew that writes down what it is told and returns the events it was given."""

    method = "diary"

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.told: list[Any] = []
        self.events: list[list[s.Event]] = []
        self.waits: list[float | None] = []
        self.busy: Sequence[tuple[int, int, float]] = ()
        self.rss: Mapping[int, int] = {}
        self.waited_s = 0.0

    def start(self, count: int) -> None:
        self.told.append(("start", count))

    def send(self, worker: int, chunk: Chunk) -> None:
        self.told.append(("send", worker, chunk.id))

    def cancel(self, worker: int, chunk: int) -> None:
        self.told.append(("cancel", worker, chunk))

    def kill(self, worker: int, reason: str) -> None:
        self.told.append(("kill", worker, reason))

    def retire(self, worker: int) -> None:
        self.told.append(("retire", worker))

    def running(self) -> Sequence[tuple[int, int, float]]:
        return self.busy

    def sizes(self) -> Mapping[int, int]:
        return self.rss

    def wait(self, timeout: float | None) -> list[s.Event]:
        self.waits.append(timeout)
        if timeout is not None:
            self.clock.advance(timeout)
        return self.events.pop(0) if self.events else []

    def wake(self) -> None:
        self.told.append("wake")

    def interrupt(self) -> None:
        self.told.append("interrupt")

    def close(self, *, kill: bool) -> None:
        self.told.append(("close", kill))


class Script:
    """A scheduler that answers each kind of event with commands given beforehand, and remembers what it heard."""

    def __init__(self, **answers: list[s.Command]) -> None:
        self._answers = answers
        self.heard: list[s.Event] = []

    def step(self, event: s.Event) -> list[s.Command]:
        self.heard.append(event)
        return self._answers.pop(type(event).__name__, [])

    @property
    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.heard]


class Quiet:
    def __init__(self, next_tick: float | None = None) -> None:
        self.heard: list[s.Event] = []
        self.next_tick = next_tick

    def hear(self, event: s.Event, commands: Sequence[s.Command]) -> None:
        self.heard.append(event)

    def tick(self, now: float) -> float | None:
        return self.next_tick


class Machine:
    def __init__(self, available: int = 100, limit: int = 100) -> None:
        self.available, self.limit = available, limit

    def cores(self) -> Cores:
        return Cores(2, 2, "affinity")

    def busy(self) -> int:
        return 0

    def memory(self) -> Memory:
        return Memory(self.available, self.limit)

    def rss(self) -> int:
        return 0


class Signals(NoInterrupts):
    """Somebody who pressed Ctrl-C so many times."""

    def __init__(self, count: int = 0) -> None:
        self.count = count
        self.signal = 2


class Drawn:
    """A source of so many items, handed out as asked for."""

    def __init__(self, items: int, seconds_each: float = 0.0, clock: FakeClock | None = None) -> None:
        self.left = items
        self.asked: list[int] = []
        self._seconds = seconds_each
        self._clock = clock

    def draw(self, count: int) -> Any:
        self.asked.append(count)
        got = min(count, self.left)
        self.left -= got
        if self._clock is not None:
            self._clock.advance(self._seconds * got)
        return type("Drawing", (), {"count": got, "ended": got < count, "error": None, "known": (), "cached": ()})()


def driver_of(
    script: Script, *, events: list[list[s.Event]] | None = None, clock: FakeClock | None = None, **hands: Any
) -> tuple[Driver, Diary, FakeClock]:
    clock = clock or FakeClock()
    crew = Diary(clock)
    crew.events = events or []
    known: dict[str, Any] = {
        "source": None,
        "listener": Quiet(),
        "interrupts": Signals(),
        "resources": Machine(),
        **hands,
    }
    return Driver(script, Hands(crew, clock=clock, **known)), crew, clock


COMMANDS: list[tuple[s.Command, Any]] = [
    (s.StartWorkers(2), ("start", 2)),
    (s.Send(1, Chunk(7, 0, 3)), ("send", 1, 7)),
    (s.CancelChunk(1, 7), ("cancel", 1, 7)),
    (s.Kill(1, "too slow"), ("kill", 1, "too slow")),
    (s.Retire(2), ("retire", 2)),
]


@pytest.mark.parametrize(("command", "told"), COMMANDS, ids=lambda value: type(value).__name__)
def test_a_command_is_passed_to_the_crew(command: s.Command, told: Any) -> None:
    driver, crew, _ = driver_of(Script(Tick=[command]))
    driver.feed(s.Tick(0.0))
    assert crew.told == [told]


def test_commands_are_performed_in_the_order_in_which_they_were_given() -> None:
    driver, crew, _ = driver_of(Script(Tick=[command for command, _ in COMMANDS]))
    driver.feed(s.Tick(0.0))
    assert crew.told == [told for _, told in COMMANDS]


def test_commands_that_only_say_something_need_no_hands() -> None:
    driver, crew, _ = driver_of(Script(Tick=[s.Retrying(3, 2), s.Decide("fallback.no-gain", {})]))
    driver.feed(s.Tick(0.0))
    assert crew.told == []


def test_every_step_is_told_to_the_listener() -> None:
    listener = Quiet()
    driver, _, _ = driver_of(Script(), listener=listener)
    for _ in range(3):
        driver.feed(s.Tick(0.0))
    assert len(listener.heard) == 3


def test_nothing_is_fed_after_the_end() -> None:
    script = Script(Tick=[s.Finish("done")])
    driver, crew, _ = driver_of(script)
    driver.feed(s.Tick(0.0))
    driver.feed(s.Tick(1.0))
    driver.turn()
    assert script.names == ["Tick"]
    assert crew.waits == []
    assert driver.finish == s.Finish("done")


def test_what_the_crew_reports_reaches_the_scheduler_in_order() -> None:
    events: list[s.Event] = [s.WorkerReady(0.0, 1), s.Finished(0.1, 1, 0, ()), s.ChunkFinished(0.1, 1, 0)]
    script = Script()
    driver, _, _ = driver_of(script, events=[events])
    driver.turn(0.0)
    assert script.names == ["WorkerReady", "Finished", "ChunkFinished"]


def test_raw_lines_go_to_the_streams_and_not_to_the_scheduler(capsys: pytest.CaptureFixture[str]) -> None:
    script = Script()
    driver, _, _ = driver_of(script, events=[[s.Printed(0.0, 1, 1, "out\n"), s.Printed(0.0, 1, 2, "err\n")]])
    driver.turn(0.0)
    assert script.names == []
    assert capsys.readouterr() == ("out\n", "err\n")


class TestDrawing:
    def test_items_are_drawn_when_asked_for_and_announced(self) -> None:
        script = Script(Tick=[s.Draw(5)])
        driver, _, _ = driver_of(script, source=Drawn(100))
        driver.feed(s.Tick(0.0))
        for _ in range(4):
            driver.turn(0.0)
        drawn = [event.count for event in script.heard if isinstance(event, s.Drawn)]
        assert sum(drawn) == 5

    def test_a_quick_input_is_drawn_in_blocks_that_double(self) -> None:
        source = Drawn(1000)
        driver, _, _ = driver_of(Script(Tick=[s.Draw(100)]), source=source)
        driver.feed(s.Tick(0.0))
        for _ in range(6):
            driver.turn(0.0)
        assert source.asked == [1, 2, 4, 8, 16, 32]

    def test_a_slow_input_is_drawn_one_by_one_so_that_results_are_not_kept_waiting(self) -> None:
        clock = FakeClock()
        source = Drawn(1000, 0.01, clock)
        driver, _, _ = driver_of(Script(Tick=[s.Draw(100)]), source=source, clock=clock)
        driver.feed(s.Tick(0.0))
        for _ in range(6):
            driver.turn(0.0)
        assert source.asked == [1] * 6

    def test_the_end_of_the_input_is_told_once_and_nothing_more_is_drawn(self) -> None:
        script = Script(Tick=[s.Draw(10)])
        source = Drawn(3)
        driver, _, _ = driver_of(script, source=source)
        driver.feed(s.Tick(0.0))
        for _ in range(5):
            driver.turn(0.0)
        assert script.names.count("SourceEnded") == 1
        assert source.left == 0

    def test_an_end_of_the_input_that_ends_the_run_is_not_slept_through(self) -> None:
        script = Script(Tick=[s.Draw(10)], SourceEnded=[s.Finish("done")])
        driver, crew, _ = driver_of(script, source=Drawn(0))
        driver.feed(s.Tick(0.0))
        driver.turn()
        assert (driver.finish, crew.waits) == (s.Finish("done"), [])

    def test_while_items_are_wanted_the_crew_is_only_looked_at(self) -> None:
        driver, crew, _ = driver_of(Script(Tick=[s.Draw(100)]), source=Drawn(1000))
        driver.feed(s.Tick(0.0))
        driver.turn()
        assert crew.waits == [0.0]

    def test_pushed_items_need_no_source(self) -> None:
        driver, crew, _ = driver_of(Script(Tick=[s.Draw(100)]))
        driver.feed(s.Tick(0.0))
        driver.turn(0.25)
        assert crew.waits == [0.25]


class TestWaiting:
    def test_without_anything_to_wait_for_there_is_no_limit(self) -> None:
        driver, crew, _ = driver_of(Script())
        driver.turn()
        assert crew.waits == [None]

    def test_the_scheduler_is_woken_when_it_asked_to_be(self) -> None:
        script = Script(WorkerReady=[s.WakeAt(3.0)])
        driver, crew, _ = driver_of(script, events=[[s.WorkerReady(0.0, 1)]])
        crew.busy = [(1, 17, 0.5)]
        driver.turn(0.0)
        driver.turn()
        assert crew.waits == [0.0, 3.0]
        assert script.heard[1:] == [s.Running(3.0, 1, 17, 0.5), s.Tick(3.0)]

    def test_a_later_wake_replaces_the_one_before(self) -> None:
        script = Script(WorkerReady=[s.WakeAt(3.0), s.WakeAt(5.0)])
        driver, crew, _ = driver_of(script, events=[[s.WorkerReady(0.0, 1)]])
        driver.turn(0.0)
        driver.turn()
        assert crew.waits[-1] == 5.0

    def test_the_display_is_redrawn_in_time(self) -> None:
        driver, crew, _ = driver_of(Script(), listener=Quiet(next_tick=0.1))
        driver.turn()
        assert crew.waits == [0.1]

    def test_patience_is_the_longest_wait(self) -> None:
        driver, crew, _ = driver_of(Script(Tick=[s.WakeAt(9.0)]))
        driver.feed(s.Tick(0.0))
        driver.turn(0.5)
        assert crew.waits == [0.5]


class TestEnding:
    def test_an_interrupt_is_told_and_ends_after_the_grace(self) -> None:
        script = Script()
        driver, crew, clock = driver_of(script, interrupts=Signals(1), policy=InterruptPolicy(grace=0.2))
        driver.turn()
        assert "interrupt" in crew.told
        driver.turn()
        assert [event.count for event in script.heard if isinstance(event, s.Interrupt)] == [1, 2]
        assert clock.now() == pytest.approx(0.2)

    def test_a_second_interrupt_does_not_wait_for_the_grace(self) -> None:
        script = Script()
        driver, _, clock = driver_of(script, interrupts=Signals(2))
        driver.turn()
        assert [event.count for event in script.heard if isinstance(event, s.Interrupt)] == [1, 2]
        assert clock.now() == 0.0

    def test_the_deadline_is_told_once(self) -> None:
        script = Script()
        driver, crew, clock = driver_of(script, deadline=2.0)
        driver.turn()
        assert clock.now() == 2.0
        assert script.names == ["Deadline"]
        assert "interrupt" in crew.told
        driver.turn()
        assert script.names == ["Deadline", "Interrupt"]


class TestMemory:
    @pytest.mark.parametrize(("available", "levels"), [(50, []), (9, [1]), (1, [2]), (12, [])])
    def test_low_memory_is_told_with_the_largest_worker(self, available: int, levels: list[int]) -> None:
        script = Script(Tick=[s.Send(1, Chunk(0, 0, 1))])
        driver, crew, _ = driver_of(script, resources=Machine(available))
        crew.rss = {1: 10, 2: 30}
        crew.busy = [(1, 0, 0.0)]
        driver.feed(s.Tick(0.0))
        driver.turn()
        low = [event for event in script.heard if isinstance(event, s.MemoryLow)]
        assert [event.level for event in low] == levels
        assert all(event.largest == 2 for event in low)

    def test_whoever_listens_hears_what_was_seen(self) -> None:
        script = Script(Tick=[s.Send(1, Chunk(0, 0, 1))])
        listener = Quiet()
        driver, crew, _ = driver_of(script, resources=Machine(50), listener=listener)
        crew.rss, crew.busy = {1: 10, 2: 30}, [(1, 0, 0.0)]
        driver.feed(s.Tick(0.0))
        driver.turn()
        assert [event for event in listener.heard if isinstance(event, s.MemorySeen)] == [
            s.MemorySeen(0.5, 50, 0, ((1, 10), (2, 30)))
        ]
        assert not any(isinstance(event, s.MemorySeen) for event in script.heard), "the scheduler has no use for it"

    def test_recovery_is_told_only_above_the_upper_bound(self) -> None:
        machine = Machine(5)
        script = Script(Tick=[s.Send(1, Chunk(0, 0, 1))])
        driver, crew, _ = driver_of(script, resources=machine)
        crew.busy = [(1, 0, 0.0)]
        driver.feed(s.Tick(0.0))
        for available in (5, 12, 20):
            machine.available = available
            driver.turn()
        assert [event.level for event in script.heard if isinstance(event, s.MemoryLow)] == [1, 0]

    def test_nobody_looks_at_memory_while_no_worker_is_busy(self) -> None:
        script = Script(Tick=[s.Send(1, Chunk(0, 0, 1))])
        driver, crew, _ = driver_of(script)
        driver.feed(s.Tick(0.0))
        driver.turn()
        driver.turn()
        assert crew.waits == [0.5, None]


def test_a_chunk_that_nobody_wants_any_more_is_settled_without_being_sent() -> None:
    script = Script(Tick=[s.Send(1, Chunk(4, 8, 1))])
    driver, crew, _ = driver_of(script, is_dropped=lambda chunk: chunk.first == 8)
    driver.feed(s.Tick(0.0))
    assert crew.told == []
    assert script.names == ["Tick", "Unsendable"], "a result would say that its worker is through with earlier chunks"


def test_running_here_needs_a_crew_of_one() -> None:
    driver, _, _ = driver_of(Script(Tick=[s.RunHere(Chunk(0, 0, 1))]))
    with pytest.raises(RuntimeError, match="forbids"):
        driver.feed(s.Tick(0.0))


def test_what_ran_here_is_heard_like_anything_else() -> None:
    clock = FakeClock()
    here = Diary(clock)
    chunk = Chunk(0, 0, 2)
    here.events = [[s.Finished(0.0, HERE, 0, (Batch(0, [1, 2]),)), s.ChunkFinished(0.0, HERE, 0)]]
    script = Script(Tick=[s.RunHere(chunk)])
    driver, _, _ = driver_of(script, clock=clock, here=here)
    driver.feed(s.Tick(0.0))
    assert here.told == [("send", HERE, 0)]
    driver.turn()
    assert script.names == ["Tick", "Finished", "ChunkFinished"]


def test_workers_are_heard_between_two_blocks_that_run_here() -> None:
    """They become ready while items run here; a run that never looked would do all items here."""
    clock = FakeClock()
    here = Diary(clock)
    chunk = Chunk(0, 0, 2)
    here.events = [[s.Finished(0.0, HERE, 0, (Batch(0, [1, 2]),)), s.ChunkFinished(0.0, HERE, 0)]]
    script = Script(Tick=[s.RunHere(chunk)])
    driver, crew, _ = driver_of(script, clock=clock, here=here)
    crew.events = [[s.WorkerReady(0.0, 1, 77, "fork")]]
    driver.feed(s.Tick(0.0))
    driver.turn(patience=5.0)
    assert script.names == ["Tick", "WorkerReady", "Finished", "ChunkFinished"]
    assert clock.now() == 0.0


def spoken(index: int) -> tuple[Said, ...]:
    return (Said(index, "stdout", f"item {index}\n"),)


@pytest.mark.parametrize(("quiet", "heard"), [(False, "item 0\nitem 1\nitem 2\n"), (True, "item 0\nitem 1\n")])
def test_what_items_said_is_said_again_up_to_where_the_loop_would_have_ended(
    capsys: pytest.CaptureFixture[str], quiet: bool, heard: str
) -> None:
    settled = [
        Batch(0, ["a"], said=spoken(0)),
        Failed(index=1, error=ValueError(), said=spoken(1)),
        Batch(2, ["c"], said=spoken(2)),
    ]
    driver, _, _ = driver_of(
        Script(Tick=[s.Emit(piece) for piece in settled]), quiet_after_failure=quiet, replay=Replay()
    )
    driver.feed(s.Tick(0.0))
    assert list(driver.settled) == settled
    assert capsys.readouterr().out == heard


def test_the_driver_shows_where_it_is() -> None:
    driver, _, _ = driver_of(Script(Tick=[s.Emit(Batch(0, [1])), s.Finish("done")]))
    assert repr(driver) == "<Driver 0 settled, running>"
    driver.feed(s.Tick(0.0))
    assert "Finish(how='done'" in repr(driver)
