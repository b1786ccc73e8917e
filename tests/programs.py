"""Commands as whole processes: what they load and how much memory they take."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import fanwise

__all__ = ["COMMAND", "let_arrow_make_its_pipe", "peak_bytes", "plain_environment"]

COMMAND = [sys.executable, "-c", "import sys; from fanwise.cli import main; sys.exit(main(sys.argv[1:]))"]
"""``fanwise`` of this source tree; arguments follow."""
_PEAK = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def plain_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This environment with this source, and nothing that measures coverage: that loads modules and takes memory."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return kept | {"PYTHONPATH": str(Path(fanwise.__file__).parents[1])} | dict(more or {})


def peak_bytes(command: Sequence[str], cwd: Path, more: Mapping[str, str] | None = None) -> float:
    """High water of a command that ends well.

    It is started by a small process: Linux counts to a new program what the process had that started it.
    """
    ended = subprocess.run(
        [sys.executable, "-S", "-c", _PEAK, *command],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=cwd,
        env=plain_environment(more),
    )
    code, kilobytes = ended.stdout.splitlines()[-1].split()
    assert code == "0", ended.stdout
    return 1024.0 * float(kilobytes)


def let_arrow_make_its_pipe() -> None:
    """Arrow opens the pipe by which it hears of signals once a process, at the first read under a handler: no test's own."""
    import pyarrow as pa
    import pyarrow.csv

    before = signal.signal(signal.SIGTERM, lambda *_: None)
    pyarrow.csv.read_csv(pa.BufferReader(b"a\n1\n"))
    signal.signal(signal.SIGTERM, before)
