"""What freezing and attaching cost, as ratios within one run: ``python -m benchmarks.bundle [--megabytes 1000]``.

Every figure is the minimum of several, taken in turn with what it is compared with.
"""

from __future__ import annotations

import argparse
import mmap
import os
import pickle
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks._rounds import Figure, best_of
from fanwise import Bundle, _memfd, freeze
from fanwise.bundle import forget, resolve
from fanwise.typing import Attachment

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result; ``goal`` is an upper bound."""

    measure: str
    value: float
    goal: float
    unit: str

    def __str__(self) -> str:
        mark = " " if self.value <= self.goal else "!"
        return f"{mark} {self.measure:<62}{self.value:>10.3f} {self.unit:<8}goal ≤ {self.goal:g}"


def timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    kept = action()
    seconds = time.perf_counter() - start
    if isinstance(kept, Bundle):
        kept.close()
    return seconds


def four_arrays(size: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"part {n}": rng.random(size // 32) for n in range(4)}


def copy_to_shared_map(arrays: dict[str, np.ndarray]) -> None:
    total = sum(a.nbytes for a in arrays.values())
    shared, at = mmap.mmap(-1, total), 0
    for array in arrays.values():
        np.copyto(np.frombuffer(shared, array.dtype, array.size, at), array)
        at += array.nbytes


def freezing(arrays: dict[str, np.ndarray]) -> Row:
    best = best_of(
        {"ours": lambda: timed(lambda: freeze(arrays)), "copyto": lambda: timed(lambda: copy_to_shared_map(arrays))},
        ROUNDS,
    )
    return Row("freeze of 4 arrays / numpy.copyto into a new shared map", best["ours"] / best["copyto"], 1.5, "×")


class Reader:
    """A process that was there before the bundle, at the other end of a socket."""

    def __init__(self, sock: socket.socket, pid: int) -> None:
        self.sock, self.pid = sock, pid

    def ask(self, verb: str, attachment: Attachment) -> Any:
        fds = [attachment.fd] if attachment.fd >= 0 else []
        _memfd.send(self.sock, [pickle.dumps((verb, attachment.id, attachment.size))], fds)
        return pickle.loads(_memfd.receive(self.sock, 1 << 16)[0])


def attach(id: bytes, fd: int, size: int) -> float:
    start = time.perf_counter()
    bundle = resolve(id, fd, size)
    _ = bundle["part 0"][0]
    seconds = time.perf_counter() - start
    forget(id)
    return seconds


def read_all(id: bytes, fd: int, size: int) -> float:
    bundle = resolve(id, fd, size)
    return float(sum(array.sum() for array in bundle.values()))


def memory(id: bytes, fd: int, size: int) -> dict[str, int]:
    with open("/proc/self/smaps_rollup", encoding="ascii") as rollup:
        words = [line.split() for line in rollup]
    return {w[0].rstrip(":"): int(w[1]) * 1024 for w in words if len(w) == 3 and w[2] == "kB"}


def serve(sock: socket.socket) -> None:
    verbs: dict[str, Callable[[bytes, int, int], Any]] = {"attach": attach, "read": read_all, "memory": memory}
    while True:
        message, fds = _memfd.receive(sock, 1 << 16)
        if not message:
            return
        verb, id, size = pickle.loads(message)
        _memfd.send(sock, [pickle.dumps(verbs[verb](id, fds[0] if fds else -1, size))])


@contextmanager
def readers(count: int) -> Iterator[list[Reader]]:
    started = []
    for _ in range(count):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if not pid:
            for sock in (ours, *(other.sock for other in started)):
                sock.close()  # a copy here would keep a sibling from seeing the end
            serve(theirs)
            os._exit(0)
        theirs.close()
        started.append(Reader(ours, pid))
    try:
        yield started
    finally:
        for reader in started:
            reader.sock.close()
            os.waitpid(reader.pid, 0)


def attaching(reader: Reader, small: Bundle, large: Bundle) -> list[Row]:
    best = best_of(
        {
            "small": lambda: reader.ask("attach", small.attachment()),
            "large": lambda: reader.ask("attach", large.attachment()),
        },
        ROUNDS,
    )
    return [
        Row("attach and first element: large / 1 MB", best["large"] / best["small"], 2, "×"),
        Row("attach and first element: large", best["large"] * 1e3, 5, "ms"),
    ]


def shared(pair: list[Reader], large: Bundle) -> list[Row]:
    nothing = replace(large.attachment(), fd=-1)
    before = [reader.ask("memory", nothing) for reader in pair]
    for reader in pair:
        reader.ask("read", large.attachment())
    after = [reader.ask("memory", nothing) for reader in pair]
    grown = max(unique(b) - unique(a) for a, b in zip(before, after, strict=True))
    own = memory(b"", -1, 0)["Pss"]
    total = own + sum(m["Pss"] for m in after) - sum(m["Pss"] for m in before)
    return [
        Row("unique memory of a worker that has read all of it", 100 * grown / large.nbytes, 5, "%"),
        Row("Pss of workers and owner / bundle", total / large.nbytes, 1.1, "×"),
    ]


def unique(rollup: dict[str, int]) -> int:
    return rollup["Private_Clean"] + rollup["Private_Dirty"]


def mention(bundle: Bundle) -> Row:
    """A further item that mentions a bundle the worker has: the reduction by id that a backend writes."""
    id = bundle.attachment().id
    with_it, without = pickle.dumps((id, 1), 5), pickle.dumps((None, 1), 5)
    return Row("handle on the wire, per further item", len(with_it) - len(without), 64, "bytes")


def look_up(bundle: Bundle) -> Row:
    view, count = bundle["part 0"], 100_000

    def often() -> None:
        for _ in range(count):
            bundle["part 0"]

    seconds = best_of({"look-up": lambda: timed(often)}, ROUNDS)["look-up"]
    del view
    return Row("look-up of an array view already made", seconds / count * 1e6, 1, "µs")


def measure(size: int) -> list[Row]:
    """All rows, with a large bundle of so many bytes."""
    with readers(2) as pair:
        arrays = four_arrays(size)
        rows = [freezing(arrays)]
        with freeze(arrays, name="large") as large, freeze(four_arrays(1_000_000)) as small:
            arrays.clear()
            rows += attaching(pair[0], small, large)
            rows += [mention(large), look_up(large)]
            rows += shared(pair, large)
    return rows


def figures(quick: bool) -> Iterator[Figure]:
    """Every row."""
    for row in measure(200_000_000 if quick else 1_000_000_000):
        yield Figure(row.measure, row.value, row.unit)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the large bundle (default 1000)")
    rows = measure(parser.parse_args(arguments).megabytes * 1_000_000)
    for row in rows:
        print(row)
    return int(any(row.value > row.goal for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
