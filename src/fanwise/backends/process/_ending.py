"""How workers end: asked first, killed after 50 ms, reaped in any case.

One that the fork server has yet to fork is not waited for, which may take a quarter of a second: nobody listens to it any
more, so that the server leaves it out, and should it be born meanwhile, it finds its pipe of life closed and exits.
"""

from __future__ import annotations

import select
import time
from collections.abc import Sequence

from fanwise.backends.process._link import Link
from fanwise.backends.process._wire import Kind

__all__ = ["PATIENCE_S", "end"]

PATIENCE_S = 0.05
_GRAVE_S = 10.0


def end(links: Sequence[Link], *, kill: bool) -> None:
    """Stop workers and wait until they are gone."""
    born = [link for link in links if link.process.is_born]
    if not kill:
        for link in born:
            link.cell.stop(wanted=True)
            link.channel.send(Kind.STOP)
        _await_ends(born, PATIENCE_S)
    for link in links:
        if not link.process.ended:
            link.kill("it was to end")
    _await_ends(born, _GRAVE_S)


def _await_ends(links: Sequence[Link], seconds: float) -> None:
    until = time.monotonic() + seconds
    poll = select.poll()
    alive = {link.process.fileno(): link.process for link in links if not link.process.poll()}
    for fd in alive:
        poll.register(fd, select.POLLIN)
    while alive and (left := until - time.monotonic()) > 0:
        for fd, _ in poll.poll(1000 * left):
            if alive[fd].poll():
                poll.unregister(fd)
                del alive[fd]
