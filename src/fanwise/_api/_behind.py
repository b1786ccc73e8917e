"""What happens to a crew while another thread drives it, told later by the thread of the call."""

from __future__ import annotations

from collections.abc import Sequence

from fanwise.engine._driver import Listener
from fanwise.records import scheduling as s
from fanwise.records.chunks import Chunk

__all__ = ["Behind"]


class Behind:
    """Keeps what it hears until `catch_up`; notes whether a worker has come, and what the calling process is at."""

    def __init__(self, listener: Listener) -> None:
        self.manned = False
        self.here: Chunk | None = None
        self._listener = listener
        self._kept: list[tuple[s.Event, Sequence[s.Command]]] | None = []

    def __repr__(self) -> str:
        return f"<Behind by {len(self._kept or ())} steps>"

    def hear(self, event: s.Event, commands: Sequence[s.Command]) -> None:
        """One step of the scheduler."""
        if self._kept is None:
            self._listener.hear(event, commands)
            return
        self._kept.append((event, commands))
        self.manned = self.manned or isinstance(event, s.WorkerReady)
        for command in commands:
            if isinstance(command, s.RunHere) and command.begun:
                self.here = command.chunk

    def tick(self, now: float) -> float | None:
        """Time has passed."""
        return None if self._kept is not None else self._listener.tick(now)

    def catch_up(self) -> None:
        """Tell everything, and from now on whatever comes."""
        kept, self._kept = self._kept or [], None
        for event, commands in kept:
            self._listener.hear(event, commands)
