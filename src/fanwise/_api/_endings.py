"""How a call ended, and the exception that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanwise.errors import BackendError, RunInterrupted, RunTimeoutError
from fanwise.records._record import record
from fanwise.records.outcomes import Failed, Lost, Outcome

if TYPE_CHECKING:
    from fanwise._api.run import Run

__all__ = ["DONE", "Ending", "blame", "carry", "say_where"]

_ITEM_REPR = 200


@record
class Ending:
    """``how``: done, error, source, interrupted, deadline, broken or closed; ``error`` is what is to be raised."""

    how: str
    error: BaseException | None = None

    @property
    def reported(self) -> str:
        """The word of the report: done, error, interrupted or deadline."""
        return {"source": "error", "broken": "error", "closed": "deadline"}.get(self.how, self.how)


DONE = Ending("done")


def interrupted(signal: int) -> Ending:
    """Ctrl-C or SIGTERM."""
    error = RunInterrupted()
    error.signal = signal
    return Ending("interrupted", error)


def deadline_passed(seconds: float) -> Ending:
    """The time of the whole call is over."""
    return Ending(
        "deadline", RunTimeoutError(f"the run took longer than deadline={seconds:g} s; run holds what is finished")
    )


def broken(error: BaseException | None) -> Ending:
    """No worker can be started."""
    if isinstance(error, BackendError):
        return Ending("broken", error)
    failure = BackendError(f"workers cannot be started: {error or 'no reason given'}")
    failure.__cause__ = error
    return Ending("broken", failure)


def blame(outcome: Failed | Lost, item: str, total: int | None) -> Ending:
    """The item's own exception, with a note that names the item and, from a worker, one with the remote traceback."""
    of = "" if total is None else f" of {total}"
    add_note(outcome.error, f"item {outcome.index}{of}: {item}")
    say_where(outcome)
    return Ending("error", outcome.error)


def say_where(outcome: Outcome) -> None:
    """A note with the remote traceback, on an exception that came from a worker."""
    if isinstance(outcome, Failed) and outcome.worker is not None and outcome.traceback:
        add_note(outcome.error, f"in worker {outcome.worker}:\n{outcome.traceback.rstrip()}")


def shortened(item: Any) -> str:
    """``repr`` of an item in at most 200 characters; an item that cannot say is named by its type."""
    try:
        text = repr(item)
    except Exception as error:  # noqa: BLE001  # a user's own __repr__
        text = f"<{type(item).__name__}, whose repr raises {type(error).__name__}>"
    return text if len(text) <= _ITEM_REPR else f"{text[: _ITEM_REPR - 1]}…"


def add_note(error: BaseException, note: str) -> None:
    """Add a note also to an exception whose class refuses attributes."""
    carry(error, "__notes__", [*getattr(error, "__notes__", []), note])


def carry(error: BaseException, name: str, value: Run | list[str]) -> None:
    """Set an attribute, past a class's own ``__setattr__``."""
    BaseException.__setattr__(error, name, value)
