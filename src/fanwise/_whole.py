"""Files that are complete or not there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["atomic"]


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """Write a file under a temporary name and rename it when all of it is on disk; nothing is left after a failure.

    An `OSError` names the final path, whichever call it came from.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)  # of a process that was killed: in a container all have the same number
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        error.filename = os.fspath(path)
        raise
    finally:
        with contextlib.suppress(OSError):  # gone by the rename; or the disk may be gone altogether
            temporary.unlink()
