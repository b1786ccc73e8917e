"""Starting workers for a crew, by the method that was chosen for it."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

from fanwise._seeds import bind
from fanwise.backends._execution import Function
from fanwise.backends.process import _blas, _fork
from fanwise.backends.process._birth import Initializer, Setup
from fanwise.backends.process._culprit import explain
from fanwise.backends.process._ends import WorkerEnds
from fanwise.backends.process._link import Link
from fanwise.backends.process._method import cores
from fanwise.backends.process._pickling import dumps
from fanwise.backends.process._process import Process
from fanwise.backends.process._wire import Kind
from fanwise.backends.process._worker import Inherited
from fanwise.errors import NotPicklableError
from fanwise.typing import Attachment, Work

__all__ = ["Starter", "modules_of"]

_STATE = {"numpy", "cloudpickle.cloudpickle"}


class Starter:
    """Knows how the workers of one crew are to be born, and looks that up when there is one: most crews borrow theirs.

    ``number`` is that of the function; ``choose`` answers how workers start, ``modules`` what a fork server imports once.
    """

    def __init__(
        self,
        choose: Callable[[], str],
        work: Work,
        workers: int,
        *,
        initializer: Initializer | None,
        max_tasks: int | None,
        modules: Callable[[], Sequence[str]],
        snapshot: Callable[[], bytes],
        number: int = 0,
    ) -> None:
        self.number = number
        self.max_tasks = max_tasks
        self._choose = choose
        self._work = work
        self._workers = workers
        self._initializer = initializer
        self._modules = modules
        self._snapshot = snapshot

    @cached_property
    def method(self) -> str:
        """How they start."""
        return self._choose()

    @cached_property
    def takes_at_once(self) -> bool:
        """Whether a worker can be sent items as soon as it exists.

        A forked one has all it needs for them. But its initializer may fail, and the time of an item is not to include
        that of the start.
        """
        return self.method == "fork" and self._initializer is None and not self._work.single

    @cached_property
    def _setup(self) -> Setup:
        workers = self._workers
        return Setup(max(1, cores() // workers), _blas.share(cores(), workers), self.max_tasks)

    def start(self, born: float) -> Link:
        """Start one worker.

        Raises
        ------
        OSError
            If there is no room for a process, or no descriptor is free.
        NotPicklableError
            If the initializer has to travel and cannot.
        """
        return self._fork(born) if self.method == "fork" else self._begin(born)

    def _fork(self, born: float) -> Link:
        work = self._work
        if self._setup.blas_threads is not None:
            _blas.prepare()
        function = Function(bind(work.fn, work.seed), work.single, work.capture, work.isolate, work.stops)
        inherited = Inherited(
            self._setup,
            self._initializer,
            {self.number: function},
            work.take if work.inheritable else None,
        )
        link = Link.open(partial(_fork.launch, inherited=inherited), self.method, born)
        link.known.append(self.number)
        link.is_twin, link.inherits = True, work.inheritable
        return link

    def _begin(self, born: float) -> Link:
        state = self._snapshot()
        initializer, attachments = self._packed_initializer()
        setup = pickle.dumps(
            Setup(
                self._setup.budget,
                self._setup.blas_threads,
                self._setup.max_tasks,
                state,
                initializer,
            ),
            5,
        )
        link = Link.open(self._launcher(), self.method, born)
        link.state = state
        link.attach(attachments)
        link.channel.send(Kind.SETUP, [setup])
        return link

    def _launcher(self) -> Callable[[WorkerEnds], Process]:
        if self.method == "spawn":
            from fanwise.backends.process import _spawn

            return _spawn.launch
        from fanwise.backends.process import _forkserver

        return partial(_forkserver.shared.launch, modules=self._modules())

    def _packed_initializer(self) -> tuple[bytes, Sequence[Attachment]]:
        if self._initializer is None:
            return b"", ()
        try:
            packed = dumps(self._initializer, main_by_value=True)
        except NotPicklableError as error:
            raise explain(self._initializer, "initializer", error) from error.__cause__
        return pickle.dumps((packed.data, [bytearray(view) for view in packed.buffers]), 5), packed.attachments


def modules_of(*things: Any) -> tuple[str, ...]:
    """The modules that must be imported before these can be used; what a fork server may do once for all workers.

    NumPy is among them where it is loaded: its error handling is part of the state that a worker takes over. So is
    cloudpickle: what travels by value, as all of ``__main__`` does, needs it, and every worker would import it for 6 ms.
    """
    inner = [getattr(thing, "func", thing) for thing in things]
    found = {getattr(thing, "__module__", None) or type(thing).__module__ for thing in inner} | _STATE
    return tuple(sorted(name for name in found if name != "__main__" and name in sys.modules))
