"""Files and folders that one process at a time may use. A leaf."""

from __future__ import annotations

from time import monotonic, sleep

__all__ = ["PATIENCE_S", "claim"]

PATIENCE_S = 1.0
_AGAIN_S = 0.02


def claim(fd: int) -> None:
    """Lock an open file or folder for this process alone, until it is closed.

    One that is taken is asked for again for a second: forked workers of a run that was killed share its lock, and let go
    of it when they are gone.

    Raises
    ------
    BlockingIOError
        If another process has it.
    """
    import fcntl  # absent on Windows

    until = monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() >= until:
                raise
            sleep(_AGAIN_S)
        else:
            return
