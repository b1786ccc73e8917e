"""Workers of a cluster lent to one run: performs what the scheduler says, reports what happens, decides nothing.

A worker of the crew is a seat: one of the chunks that a worker of the cluster runs at a time, and chunks are pinned to
it. Pinned, because a cluster would run what a lost worker had somewhere else by itself, and nobody could say how often
an item was begun.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from queue import Empty, SimpleQueue

from fanwise import _memfd
from fanwise.backends.process import _exceptions
from fanwise.backends.process._messages import SECTIONS, decode_bare_results, decode_results
from fanwise.backends.process._pickling import attach
from fanwise.backends.process._wire import Frame, Kind
from fanwise.backends.remote._letters import Answer, Desk, Letter, Note
from fanwise.backends.remote._liaison import GRACE_S, LEASE_S, Liaison
from fanwise.backends.remote._news import Answered, Broken, Joined, Left, Listed, Message, Node, Withdrawn
from fanwise.backends.remote._port import Cluster
from fanwise.errors import BackendError
from fanwise.records.chunks import Chunk
from fanwise.records.scheduling import (
    ChunkFinished,
    ChunkReturned,
    Event,
    Finished,
    Printed,
    StartFailed,
    Unsendable,
    WorkerDied,
    WorkerReady,
    WorkerRetired,
)
from fanwise.typing import Attachment, Clock, Work

__all__ = ["RemoteCrew"]

_VACANT_S = 3.0  # how long a nanny may take to bring a lost worker back before the run goes on with fewer


@dataclass(slots=True)
class _Flight:
    """A chunk that a seat has; its answer waits until those before it are in."""

    chunk: Chunk
    letter: Letter
    since: float
    answer: Answer | BaseException | None = None


@dataclass(slots=True)
class _Seat:
    """One worker of the crew."""

    number: int
    node: Node
    flights: dict[int, _Flight] = field(default_factory=dict)
    retiring: bool = False


class RemoteCrew:
    """See `fanwise.typing.Crew` for what each method promises.

    Parameters
    ----------
    cluster : Cluster
    work : Work
    clock : Clock
    elastic : bool
        Whether workers that join later are used beyond the number asked for.
    """

    def __init__(self, cluster: Cluster, work: Work, clock: Clock, *, elastic: bool) -> None:
        self._clock = clock
        self._single = work.single
        self._elastic = elastic
        self._cluster = cluster
        self.method = cluster.name.lower()
        self._desk = Desk(work, LEASE_S)
        self._inbox: SimpleQueue[Message | None] = SimpleQueue()
        self._liaison = Liaison(cluster, self._desk, self._inbox.put)
        self._numbers = count(1)
        self._nodes: dict[str, Node] = {}
        self._seats: dict[int, _Seat] = {}
        self._events: list[Event] = []
        self._vacancies = 0
        self._vacant_since = 0.0
        self._is_listed = False
        self._is_interrupted = False
        self._is_closed = False
        self._liaison.begin()

    def start(self, count: int) -> None:
        """Take seats as there are; those still wanted are taken when a worker joins."""
        if not self._vacancies:
            self._vacant_since = self._clock.now()
        self._vacancies += count
        self._fill()

    def _fill(self) -> None:
        while self._vacancies and (node := self._roomiest()) is not None:
            self._vacancies -= 1
            self._sit_down(node)

    def _roomiest(self) -> Node | None:
        room = {address: node.threads for address, node in self._nodes.items()}
        for seat in self._seats.values():
            room[seat.node.address] -= 1
        best = max(room, key=room.__getitem__, default=None)
        return self._nodes[best] if best is not None and room[best] > 0 else None

    def _sit_down(self, node: Node) -> None:
        number = next(self._numbers)
        self._seats[number] = _Seat(number, node)
        self._events.append(WorkerReady(self._clock.now(), number, None, self.method))

    def send(self, worker: int, chunk: Chunk) -> None:
        """Give a chunk to a worker. Items that cannot be pickled are reported as `Unsendable`, the others go."""
        seat = self._seats.get(worker)
        if seat is not None:
            self._dispatch(seat, chunk, self._desk.write(chunk))

    def _dispatch(self, seat: _Seat, chunk: Chunk, letter: Letter) -> None:
        now = self._clock.now()
        for index, error in letter.unsendable:
            self._events.append(Unsendable(now, seat.number, chunk.id, index, error))
        if len(letter.unsendable) == chunk.count:
            seat.flights.pop(chunk.id, None)
            self._events.append(ChunkFinished(now, seat.number, chunk.id))
        else:
            seat.flights[chunk.id] = _Flight(chunk, letter, now)
            self._liaison.carry(seat.node, seat.number, chunk, letter)

    def cancel(self, worker: int, chunk: int) -> None:
        """Take a chunk back that has not begun; else have it stop before its next item.

        Waits until the worker knows, but not once all of them do: at the end of a run there are many to be told.
        """
        seat = self._seats.get(worker)
        if seat is not None and chunk in seat.flights:
            self._liaison.withdraw(seat.node, worker, chunk, wait=not self._is_interrupted)

    def kill(self, worker: int, reason: str) -> None:
        """Stop the process that runs the worker's chunk; the cluster's worker lives on."""
        seat = self._seats.get(worker)
        if seat is None:
            return
        if seat.flights:
            self._liaison.kill(seat.node, worker, next(iter(seat.flights)), reason)
        else:
            self._bury(seat, WorkerDied(self._clock.now(), worker, reason))

    def retire(self, worker: int) -> None:
        """Give a seat up when it has nothing left to do."""
        seat = self._seats.get(worker)
        if seat is not None:
            seat.retiring = True
            self._let_retire(seat)

    def _let_retire(self, seat: _Seat) -> None:
        if seat.retiring and not seat.flights and seat.number in self._seats:
            del self._seats[seat.number]
            self._events.append(WorkerRetired(self._clock.now(), seat.number))

    def running(self) -> Sequence[tuple[int, int, float]]:
        """What each busy worker is at: asked of the workers where items are timed, else the first item of its chunk.

        The time of an item that has not begun, for its chunk or its process is still on the way, begins now.
        """
        busy = [seat for seat in self._seats.values() if seat.flights]
        if not self._single:
            heads = [(seat.number, next(iter(seat.flights.values()))) for seat in busy]
            return [(number, flight.chunk.first, flight.since) for number, flight in heads]
        owners = {chunk: seat.number for seat in busy for chunk in seat.flights}
        found = self._liaison.running(list({seat.node.address: seat.node for seat in busy}.values())) if busy else []
        now = self._clock.now()
        begun = {owners[chunk]: (index, now - age) for chunk, index, age in found if chunk in owners}
        waiting = {seat.number: (next(iter(seat.flights.values())).chunk.first, now) for seat in busy}
        return [(number, *place) for number, place in (waiting | begun).items()]

    def sizes(self) -> Mapping[int, int]:
        """Nothing: their memory is not this host's."""
        return {}

    def wait(self, timeout: float | None) -> list[Event]:
        """Return what happened, at the latest after ``timeout`` seconds (None: no limit; 0: only look)."""
        patience = 0.0 if self._events or self._is_closed else timeout
        with suppress(Empty):  # an empty queue ends the reading
            message = self._inbox.get(timeout=self._until_vacant(patience))
            while True:
                if message is not None and not self._is_closed:
                    self._hear(message)
                message = self._inbox.get_nowait()
        self._look_at_vacancies()
        events, self._events = self._events, []
        return events

    def wake(self) -> None:
        """Make a `wait` in another thread, or the next one, return at once."""
        self._inbox.put(None)

    def interrupt(self) -> None:
        """Make ``current_task().interrupted`` true in every worker; they stop before their next item."""
        self._is_interrupted = True
        self._liaison.interrupt(self._used())

    def _used(self) -> list[Node]:
        return list({seat.node.address: seat.node for seat in self._seats.values()}.values())

    def close(self, *, kill: bool) -> None:
        """Give the cluster back: nothing of the run is left there, running or waiting."""
        if not self._is_closed:
            self._is_closed = True
            self._liaison.close(list(self._nodes.values()))

    def _until_vacant(self, timeout: float | None) -> float | None:
        if not self._vacancies:
            return timeout
        left = max(0.0, self._vacant_since + self._patience() - self._clock.now())
        return left if timeout is None else min(timeout, left)

    def _patience(self) -> float:
        return _VACANT_S if self._seats else GRACE_S

    def _look_at_vacancies(self) -> None:
        now = self._clock.now()
        if not self._vacancies or now - self._vacant_since < self._patience():
            return
        missing, self._vacancies = self._vacancies, 0
        if self._seats:
            self._events.append(StartFailed(now, f"no {self._cluster.name} worker is free", missing))
            return
        error = BackendError(f"{self._cluster.where} has had no workers for {GRACE_S:g} s")
        self._events.append(StartFailed(now, str(error), missing, fatal=True, error=error))

    def _hear(self, message: Message) -> None:
        if isinstance(message, Answered):
            self._on_answered(message)
        elif isinstance(message, Withdrawn):
            self._on_withdrawn(message)
        elif isinstance(message, Joined):
            self._on_joined(message.node)
        elif isinstance(message, Left):
            self._on_left(message)
        elif isinstance(message, Listed):
            self._is_listed = True
        elif isinstance(message, Broken):
            self._give_up(message.error)

    def _on_joined(self, node: Node) -> None:
        self._nodes[node.address] = node
        self._fill()
        if self._elastic and self._is_listed:
            taken = sum(seat.node is node for seat in self._seats.values())
            for _ in range(node.threads - taken):
                self._sit_down(node)

    def _on_left(self, message: Left) -> None:
        self._nodes.pop(message.address, None)
        now = self._clock.now()
        for seat in [seat for seat in self._seats.values() if seat.node.address == message.address]:
            if message.expected:
                for flight in seat.flights.values():
                    self._events.append(ChunkReturned(now, seat.number, flight.chunk.id, flight.chunk.first))
                self._bury(seat, WorkerRetired(now, seat.number))
            else:
                reason = f"the {self._cluster.name} worker at {message.address} was lost"
                self._bury(seat, WorkerDied(now, seat.number, reason, idle=not seat.flights))

    def _bury(self, seat: _Seat, event: WorkerDied | WorkerRetired) -> None:
        """A seat is empty: what it had is listened for no more."""
        del self._seats[seat.number]
        for chunk, flight in seat.flights.items():
            if flight.answer is None:
                self._liaison.drop(seat.number, chunk)
        self._events.append(event)
        if not self._seats:
            self._vacant_since = self._clock.now()

    def _on_withdrawn(self, message: Withdrawn) -> None:
        seat = self._seats.get(message.worker)
        if seat is None:
            return
        if message.killed is not None:
            self._bury(seat, WorkerDied(self._clock.now(), seat.number, message.killed))
        elif message.chunk in seat.flights:
            flight = seat.flights.pop(message.chunk)
            self._liaison.drop(seat.number, message.chunk)
            self._events.append(ChunkReturned(self._clock.now(), seat.number, message.chunk, flight.chunk.first))
            self._read_on(seat)

    def _on_answered(self, message: Answered) -> None:
        seat = self._seats.get(message.worker)
        flight = seat.flights.get(message.chunk) if seat is not None else None
        if seat is not None and flight is not None:
            flight.answer = message.answer
            self._read_on(seat)

    def _read_on(self, seat: _Seat) -> None:
        """Open the answers of a seat in the order of its chunks."""
        while seat.flights and seat.number in self._seats:
            flight = next(iter(seat.flights.values()))
            answer, flight.answer = flight.answer, None
            if answer is None:
                break
            if isinstance(answer, BaseException):
                reason = f"a chunk failed on the {self._cluster.name} worker at {seat.node.address}: {answer!r}"
                self._bury(seat, WorkerDied(self._clock.now(), seat.number, reason, idle=True))
            else:
                self._open(seat, flight, answer)
        self._let_retire(seat)

    def _open(self, seat: _Seat, flight: _Flight, answer: Answer) -> None:
        now, chunk = self._clock.now(), flight.chunk.id
        for kind, *note in answer.notes:
            if kind == Note.RESULTS:
                self._on_results(seat, flight, answer.pid, *note)
            elif kind == Note.ATTACHED:
                id, content = note
                attach(Attachment(id, _memfd.make([content], frozen=True), len(content)), keep=False)
            elif kind == Note.PRINTED:
                self._events.append(Printed(now, seat.number, *note))
            elif kind == Note.RETURNED:
                seat.flights.pop(chunk, None)
                self._events.append(ChunkReturned(now, seat.number, chunk, note[0]))
            elif kind == Note.DIED:
                reason, index, words, output, idle = note
                self._bury(seat, WorkerDied(now, seat.number, reason, index, words, output, idle))
            elif kind == Note.REFUSED:
                self._on_refused(seat, flight, note[0])
            elif kind == Note.FAULTY:
                self._on_faulty_function(seat, flight, note[0])

    def _on_results(self, seat: _Seat, flight: _Flight, pid: int | None, flags: int, payload: bytes) -> None:
        now, chunk = self._clock.now(), flight.chunk.id
        if flags & SECTIONS:
            frame = Frame(Kind.RESULTS, flags, chunk, memoryview(bytearray(payload)), lasting=True)
            settled, stats = decode_results(frame, pid, flight.chunk.count)
        else:
            settled, stats = decode_bare_results(memoryview(payload), pid)
        if stats is not None:
            seat.flights.pop(chunk, None)
            self._events.append(ChunkFinished(now, seat.number, chunk, stats, settled))
        elif settled:
            self._events.append(Finished(now, seat.number, chunk, settled))

    def _on_refused(self, seat: _Seat, flight: _Flight, encoded: bytes | None) -> None:
        letter = self._desk.write_singly(flight.chunk)
        if encoded is not None:
            error, _ = _exceptions.decode(encoded)
            indexes = range(flight.chunk.first, flight.chunk.first + flight.chunk.count)
            letter = letter._replace(unsendable=[(index, error) for index in indexes])
        self._dispatch(seat, flight.chunk, letter)

    def _on_faulty_function(self, seat: _Seat, flight: _Flight, encoded: bytes) -> None:
        """A worker cannot import what the function needs: send its module along, once; then give up."""
        error, _ = _exceptions.decode(encoded)
        if not self._desk.by_value:
            self._desk.send_module()
        elif flight.letter.payload[:4] == self._desk.script.digest[:4]:
            what = f"{type(error).__name__}: {error}"
            failure = BackendError(
                f"fn cannot be loaded on the {self._cluster.name} worker at {seat.node.address} ({what}); install there what it "
                "imports, or define it in the main script"
            )
            failure.__cause__ = error
            self._give_up(failure)
            return
        self._dispatch(seat, flight.chunk, self._desk.write(flight.chunk))

    def _give_up(self, error: BaseException) -> None:
        self._events.append(StartFailed(self._clock.now(), str(error), 0, fatal=True, error=error))
