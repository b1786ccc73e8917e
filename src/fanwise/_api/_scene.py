"""What the stages of one call share."""

from __future__ import annotations

from fanwise._api._options import Options
from fanwise._api._source import Source
from fanwise._api._story import Story
from fanwise.records._record import record
from fanwise.typing import Clock, InterruptPolicy

__all__ = ["Scene"]


@record
class Scene:
    """One call: its options and input, the clock, who listens, and how results are wanted."""

    options: Options
    source: Source
    clock: Clock
    story: Story
    deadline: float | None
    ordered: bool = True
    lookahead: int | None = None
    streaming: bool = False

    @property
    def policy(self) -> InterruptPolicy:
        """Which signals end the call, and the grace of running items."""
        return InterruptPolicy() if self.options.executor is None else self.options.executor.interrupts
