"""What one run asks of the scheduler."""

from __future__ import annotations

from fanwise.engine._chunks import ChunkAim
from fanwise.records._record import record
from fanwise.typing import Retry

__all__ = ["SchedulerConfig"]


@record
class SchedulerConfig:
    """What one run asks of the scheduler.

    Attributes
    ----------
    workers : int
        Most workers alive at once.
    total : int or None
        Number of items; None if unknown: then `Draw` asks for them and `SourceEnded` says that there are no more.
    first : int
        Items below were settled before (by the local loop); nothing is emitted for them.
    skip : tuple of (first, stop)
        Ranges of items at or above ``first`` that need no run (resumed); nothing is emitted for them either.
        Ascending, disjoint.
    ordered : bool
        Emit in item order.
    lookahead : int or None
        Most items handed out and not yet emitted (``paced``: not yet taken). None: no limit if ``total`` is known, else
        four chunks per worker beyond what runs.
    paced : bool
        A consumer takes results one by one: `Demand` says how many it took. Otherwise emitted counts as taken.
    raise_on_error : bool
        The lowest failing item ends the run as soon as all below it are settled; nothing above it is started.
    retry : Retry or None
        When failed, timed-out and lost items are tried again.
    timeout : float or None
        Seconds an item may take. Its worker is killed then.
    chunks : ChunkAim
        How many items go together.
    item_cost : float or None
        Seconds per item in the calling process, from the probe.
    here_allowed : bool
        Items may run in the calling process (`RunHere`): while workers start, if none can be started, if an item cannot
        be sent, if workers bring no gain. Blocks last about ``here_s``, so that the driver can look at its sockets.
    caller_s : float
        The calling process takes the place of a worker that is not there, as long as no more work than this waits, in
        seconds. If more does, or comes to, that worker is started.
    end_s : float
        What a worker takes to end. Where the calling process has the place of one, it alone does the last work, of twice
        that length, while the others end. 0: they end with the run.
    at_first : bool
        The calling process is at the first item already, and counts as a worker until that is through.
    here_s : float
        Length of such a block in seconds; while workers start a quarter of ``warming_s``, but 1 ms at least, if that is less.
    warming_s : float
        Longest item that runs here while no worker is there yet; those that come meanwhile have to wait for it.
    window : int
        Most chunks a worker holds (1: nothing is sent in advance).
    max_starts : int or None
        Most workers ever started.
    lent : bool
        The workers are lent by somebody who has further use for them: those that bring no gain are left idle.
    """

    workers: int
    total: int | None = None
    first: int = 0
    skip: tuple[tuple[int, int], ...] = ()
    ordered: bool = True
    lookahead: int | None = None
    paced: bool = False
    raise_on_error: bool = True
    retry: Retry | None = None
    timeout: float | None = None
    chunks: ChunkAim = ChunkAim()
    item_cost: float | None = None
    here_allowed: bool = False
    caller_s: float = 0.0
    end_s: float = 0.0
    at_first: bool = False
    here_s: float = 0.010
    warming_s: float = 0.010
    window: int = 2
    max_starts: int | None = None
    lent: bool = False
