"""Whatever happens to a cache on disk, a look-up gives the value that a dict would give, or a miss.

Two openers of one directory in this process, readers and writers in forked ones, writers that die at any step, flipped
bits, cut and deleted files, a clock that moves. After a delete or an overwrite the value before it never comes back.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.cache_kit import flip, in_child

from fanwise import Cache
from fanwise.testing import FakeClock

MISS = "<miss>"
KEYS = st.integers(0, 1)
SIZES = st.sampled_from([0, 10, 3000, 70_000])
STEPS = ["tail", "record", "epoch", "slot", "settled", "renamed", "evicted"]
WHO = st.integers(0, 1)


class CacheMachine(RuleBasedStateMachine):
    """The model: for each key the values that a look-up may give besides a miss, and whether it must give one."""

    backend = "index"

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="fanwise-model-"))
        self.clock = FakeClock(start=1e6)
        self.allowed: dict[Any, list[Any]] = {}
        self.expires: dict[Any, float] = {}
        self.certain: set[Any] = set()
        self.tokens = iter(range(10**9))
        self.caches: list[Cache] = []
        self.is_damaged = False

    @initialize()
    def start(self) -> None:
        self.caches = [self.fresh() for _ in range(2)]

    def fresh(self) -> Cache:
        return Cache(self.root / "c", backend=self.backend, clock=self.clock, disk="64MiB", memory="100kB")

    def teardown(self) -> None:
        for cache in self.caches:
            cache.close()
        shutil.rmtree(self.root)

    def value(self, size: int) -> tuple[int, bytes]:
        token = next(self.tokens)
        return token, bytes([token % 251]) * size

    def settle(self, key: Any, value: Any, ttl: float | None = None) -> None:
        """A store that was seen to succeed."""
        self.allowed[key] = [value]
        self.expires[key] = self.clock.time() + (ttl or float("inf"))
        self.certain.add(key)

    def doubt(self) -> None:
        """Something was damaged: anything may be missing, now or when the index is lost."""
        self.certain.clear()
        self.is_damaged = True

    def check(self, key: Any, found: Any) -> None:
        alive = key in self.allowed and self.clock.time() < self.expires[key]
        if found == MISS:
            assert not (alive and key in self.certain), f"{key} is lost"
        else:
            assert alive, f"{key} gives {found[0]}, which was removed or has expired"
            assert found in self.allowed[key], f"{key} gives {found[0]}, may give {[v[0] for v in self.allowed[key]]}"

    @rule(who=WHO, key=KEYS, size=SIZES, ttl=st.sampled_from([None, None, 5.0]))
    def put(self, who: int, key: int, size: int, ttl: float | None) -> None:
        value = self.value(size)
        assert self.caches[who].put(("put", key), value, ttl=ttl)
        self.settle(("put", key), value, ttl)

    @rule(key=KEYS, size=SIZES)
    def put_by_both(self, key: int, size: int) -> None:
        for who in (0, 1):
            self.put(who, key, size, None)

    @rule(who=WHO, key=KEYS, size=SIZES)
    def get_or_compute(self, who: int, key: int, size: int) -> None:
        name = ("made", key)
        value = self.value(size)
        found = self.caches[who].get_or_compute(name, lambda: value)
        if found == value:
            assert not (name in self.certain and self.clock.time() < self.expires[name]), "computed again"
            self.settle(name, value)
        else:
            self.check(name, found)

    @rule(who=WHO, kind=st.sampled_from(["put", "made"]), key=KEYS)
    def delete(self, who: int, kind: str, key: int) -> None:
        self.caches[who].delete((kind, key))
        self.allowed.pop((kind, key), None)
        self.certain.discard((kind, key))

    @rule(who=WHO, seconds=st.sampled_from([1.0, 4.5, 10.0]))
    def advance(self, who: int, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(
        who=WHO,
        how=st.sampled_from(["clear", "clear another name", "prune", "prune to nothing", "verify", "repair", "reopen"]),
    )
    def maintain(self, who: int, how: str) -> None:
        cache = self.caches[who]
        if how == "clear":
            cache.clear()
        elif how == "clear another name":
            assert cache.clear("no such function") == 0
        elif how == "prune":
            cache.prune()
        elif how == "prune to nothing":
            cache.prune(max_bytes=0)
        elif how == "verify":
            cache.verify()
        elif how == "repair":
            cache.verify(repair=True)
            assert cache.verify().ok
        else:
            cache.close()
            self.caches[who] = self.fresh()
        if how in {"clear", "prune to nothing"}:
            self.allowed.clear()
            self.certain.clear()

    @rule(key=KEYS, size=SIZES)
    def a_forked_process_reads_and_writes(self, key: int, size: int) -> None:
        value = self.value(size)

        def work() -> None:
            for kind in ("put", "made"):
                self.check((kind, key), self.caches[0].get((kind, key), MISS))
            assert self.caches[0].put(("put", key), value)

        assert in_child(work) == 0
        self.settle(("put", key), value)

    def files(self) -> list[Path]:
        return sorted(p for p in self.root.rglob("*") if p.is_file() and p.name != "CACHEDIR.TAG")

    @rule(seed=st.integers(0, 10**6), near_the_front=st.booleans())
    def flip_a_bit(self, seed: int, near_the_front: bool) -> None:
        rng = random.Random(seed)
        files = [path for path in self.files() if path.stat().st_size]
        if files:
            path = rng.choice(files)
            size = path.stat().st_size
            flip(path, rng.randrange(min(size, 8192) if near_the_front else size), rng.randrange(8))
            self.doubt()

    @rule(seed=st.integers(0, 10**6))
    def cut_a_file_while_nobody_has_it_open(self, seed: int) -> None:
        rng = random.Random(seed)
        files = [path for path in self.files() if path.stat().st_size]
        if not files:
            return
        for cache in self.caches:
            cache.close()
        path = rng.choice(files)
        os.truncate(path, rng.randrange(min(path.stat().st_size, 20_000)))
        self.caches = [self.fresh() for _ in range(2)]
        self.doubt()

    @invariant()
    def every_look_up_gives_what_a_dict_would_or_a_miss(self) -> None:
        for cache in self.caches:
            for name in [(kind, key) for kind in ("put", "made") for key in (0, 1)]:
                self.check(name, cache.get(name, MISS))

    @invariant()
    def counts_are_not_negative(self) -> None:
        for cache in self.caches:
            stats = cache.stats()
            assert stats.entries >= 0
            assert stats.bytes >= 0


class IndexMachine(CacheMachine):
    """What can happen to the index backend only."""

    @rule(key=KEYS, size=SIZES, step=st.sampled_from(STEPS), deletes=st.booleans(), prunes=st.booleans())
    def a_writer_dies(self, key: int, size: int, step: str, deletes: bool, prunes: bool) -> None:
        """Before it ended, the old value or the new one (or none) may be seen."""
        name = ("put", key)
        value = self.value(size)
        cache = self.caches[0]

        def die(at: str) -> None:
            if at == step:
                os._exit(77)

        def work() -> None:
            cache.engine.levels.disk._step = die
            if prunes:
                cache.prune(max_bytes=0)
            elif deletes:
                cache.delete(name)
            else:
                cache.put(name, value)

        died = in_child(work) == 77
        if prunes:
            self.note_prune(died)
        else:
            self.note_write(name, value, deletes, died)

    def note_prune(self, died: bool) -> None:
        self.certain.clear()
        if not died:
            self.allowed.clear()

    def note_write(self, name: tuple[str, int], value: object, deletes: bool, died: bool) -> None:
        self.certain.discard(name)
        if deletes:
            if not died:
                self.allowed.pop(name, None)
        elif died:
            old = self.allowed.get(name, []) if self.expires.get(name, 0) > self.clock.time() else []
            self.allowed[name] = [*old, value]
            self.is_damaged = True  # a hole in the log looks like damage when the index is rebuilt
            self.expires[name] = float("inf")
        else:
            self.settle(name, value)

    @rule(key=KEYS, deletes=st.booleans(), damage=st.sampled_from([None, "old", "new", "both"]))
    def the_index_is_lost_after_a_change(self, key: int, deletes: bool, damage: str | None) -> None:
        """The rebuilt index must not bring back what the last record replaced or removed, be that record whole or not."""
        name = ("put", key)
        values = [self.value(10), self.value(10)]
        records = []
        for step in range(2):
            if step and deletes:
                self.caches[0].delete(name)
            else:
                self.caches[0].put(name, values[step])
            tail = self.caches[0].engine.levels.disk._store.tail
            records.append((f"log-{tail.segment:08d}", tail.offset - 20))
        self.allowed[name] = [] if deletes else [values[1]]
        self.expires[name] = float("inf")
        self.certain.discard(name)
        for which, (log, offset) in zip(("old", "new"), records, strict=True):
            if damage in {which, "both"}:
                for path in self.root.rglob(log):
                    flip(path, offset)
                self.doubt()
        self.lose("index")

    @rule(what=st.sampled_from(["index", "blob", "directory"]))
    def lose(self, what: str) -> None:
        if what == "directory":
            shutil.rmtree(self.root / "c", ignore_errors=True)
            self.allowed.clear()
            self.certain.clear()
        elif what == "index":
            for path in self.root.rglob("index"):
                path.unlink()
            if self.is_damaged:
                self.certain.clear()
        else:
            for path in [path for path in self.files() if path.parent.parent.name == "blobs"]:
                path.unlink()
            self.doubt()


class FilesMachine(CacheMachine):
    """The same for files; what one opener changes, another may overlook for a second."""

    backend = "files"

    def fresh(self) -> Cache:
        return Cache(self.root / "c", backend="files", clock=self.clock, disk="64MiB", memory=0)


@pytest.fixture(autouse=True)
def _warnings_are_not_the_subject() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


SETTINGS = settings(max_examples=30, stateful_step_count=25, suppress_health_check=list(HealthCheck), deadline=None)
TestIndex = IndexMachine.TestCase
TestIndex.settings = SETTINGS
TestIndex = pytest.mark.slow(TestIndex)
TestFiles = FilesMachine.TestCase
TestFiles.settings = settings(SETTINGS, max_examples=12)
TestFiles = pytest.mark.slow(TestFiles)
