"""The hostile run of the cache: processes that read, store and delete are killed at random, and files are damaged in between.

Every value says which key it belongs to and carries a sum of its own, so that a wrong value is seen whoever returns it.
"""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from fanwise import Cache

KEYS = 400
_SIZES = (8, 60, 300, 4_000, 70_000, 150_000)  # the last two are blobs


@dataclass
class Storm:
    """What happened."""

    operations: int = 0
    wrong: int = 0
    kills: int = 0
    damages: int = 0
    failures: int = 0


def value_of(number: int) -> tuple[int, bytes, bytes]:
    """The only right value of a key."""
    content = random.Random(number).randbytes(_SIZES[number % len(_SIZES)])
    return number, content, blake2b(content, digest_size=8).digest()


def is_right(number: int, value: Any) -> bool:
    return bool(value == value_of(number))


def visit(path: Path, backend: str, seed: int, operations: int, tally: int) -> None:
    """One process: so many operations; the counts go into its line of the tally, every hundred operations."""
    rng = random.Random(seed)
    wrong = done = 0
    with Cache(path, backend=backend, memory="1MiB", disk="8MiB") as cache:
        for done in range(1, operations + 1):
            number = rng.randrange(KEYS)
            what = rng.random()
            if what < 0.70:
                value = cache.get(number)
                wrong += value is not None and not is_right(number, value)
            elif what < 0.90:
                wrong += not is_right(number, cache.get_or_compute(number, lambda number=number: value_of(number)))
            elif what < 0.97:
                cache.put(number, value_of(number))
            elif what < 0.995:
                cache.delete(number)
            else:
                cache.prune(max_bytes="4MiB")
            if done % 100 == 0 or wrong:
                os.pwrite(tally, done.to_bytes(8, "little") + wrong.to_bytes(8, "little"), 16 * (seed % 4096))
    os.pwrite(tally, done.to_bytes(8, "little") + wrong.to_bytes(8, "little"), 16 * (seed % 4096))


def damage(path: Path, rng: random.Random) -> int:
    """Cut a file short or flip bits in it, while nobody has it mapped."""
    files = [file for file in path.rglob("*") if file.is_file() and file.stat().st_size and file.name != "CACHEDIR.TAG"]
    for file in rng.sample(files, min(2, len(files))):
        size = file.stat().st_size
        if rng.random() < 0.3:
            os.truncate(file, rng.randrange(size))
            continue
        with file.open("r+b") as opened:
            for _ in range(rng.randint(1, 8)):
                at = rng.randrange(min(size, 1 << 20))
                opened.seek(at)
                byte = opened.read(1)[0]
                opened.seek(at)
                opened.write(bytes([byte ^ (1 << rng.randrange(8))]))
    return min(2, len(files))


def storm(path: Path, backend: str, *, operations: int, processes: int = 4, each: int = 2_000, seed: int = 1) -> Storm:
    """Rounds of four processes until so many operations were done; in every other round one of them is killed."""
    rng, happened = random.Random(seed), Storm()
    tally = os.open(path.parent / "tally", os.O_RDWR | os.O_CREAT, 0o600)
    turn = 0
    try:
        while happened.operations < operations:
            os.ftruncate(tally, 0)
            os.ftruncate(tally, 16 * 4096)
            pids = [_start(path, backend, turn * processes + n, each, tally) for n in range(processes)]
            if turn % 2:
                time.sleep(rng.uniform(0.0, 0.15))  # at no particular place: that is the point
                os.kill(rng.choice(pids), signal.SIGKILL)
                happened.kills += 1
            codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
            happened.failures += sum(code not in {0, -signal.SIGKILL} for code in codes)
            counts = memoryview(os.pread(tally, 16 * 4096, 0)).cast("Q").tolist()
            happened.operations += sum(counts[::2])
            happened.wrong += sum(counts[1::2])
            happened.damages += damage(path, rng)
            turn += 1
    finally:
        os.close(tally)
    return happened


def _start(path: Path, backend: str, seed: int, operations: int, tally: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        visit(path, backend, seed, operations, tally)
        code = 0
    finally:
        os._exit(code)
