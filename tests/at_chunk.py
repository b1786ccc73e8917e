"""A deed in the middle of a run."""

from __future__ import annotations

from collections.abc import Callable


class AtChunk:
    """A progress that does something when so many chunks are done."""

    def __init__(self, number: int, deed: Callable[[], None], also: AtChunk | None = None) -> None:
        self.left = number
        self.deed = deed
        self.also = also

    def start(self, total: int | None, label: str) -> None:
        pass

    def on(self, event: object) -> None:
        if self.also is not None:
            self.also.on(event)
        if type(event).__name__ == "ChunkDone":
            self.left -= 1
            if not self.left:
                self.deed()

    def finish(self, report: object) -> None:
        pass
