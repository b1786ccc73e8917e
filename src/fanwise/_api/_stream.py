"""What `fanwise.stream` gives: an iterator over results that can be closed, and tells how the run went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fanwise._api._call import Call
    from fanwise.report import RunReport

__all__ = ["Stream"]


class Stream(Iterator[Any]):
    """Results as they become final.

    Closing it, or forgetting it, cancels what is left and frees the workers.
    """

    __slots__ = ("_call", "_flow")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._flow = call.flow()
        next(self._flow)

    def __next__(self) -> Any:
        return next(self._flow)

    def __repr__(self) -> str:
        return f"<Stream, {self._call!r}>"

    def close(self) -> None:
        """Cancel what is left and free the workers; a second call does nothing."""
        self._flow.close()

    @property
    def report(self) -> RunReport | None:
        """How the run went; None until the stream has ended or was closed."""
        return self._call.report
