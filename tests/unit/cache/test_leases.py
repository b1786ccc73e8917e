"""Leases: one holder a key, free again when it ends in whatever way, and a failure is told to those who wait."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.cache_kit import in_child

from fanwise.cache import _locks
from fanwise.cache._directory import Directory
from fanwise.cache._leases import Lease, Leases, LeaseSource, poll
from fanwise.cache._stripes import StripeLeases

KEY, OTHER = b"A" * 16, b"B" * 16
SAME_STRIPE = b"A" * 8 + b"C" * 8  # the stripe is the first byte, the locked byte the first eight
KINDS: dict[str, Callable[[Directory], LeaseSource]] = {"bytes": Leases, "stripes": StripeLeases}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Callable[[Directory], LeaseSource]:
    return KINDS[request.param]


@pytest.fixture
def one(kind: Callable[[Directory], LeaseSource], directory: Directory) -> Iterator[LeaseSource]:
    with closing(kind(directory)) as leases:
        yield leases


@pytest.fixture
def two(kind: Callable[[Directory], LeaseSource], directory: Directory) -> Iterator[LeaseSource]:
    """What another process has: open files of its own."""
    with closing(kind(directory)) as leases:
        yield leases


def take(leases: LeaseSource, key: bytes, limit: float | None = 0.0) -> Lease:
    lease = leases.take(key, limit)
    assert lease is not None
    return lease


def after_it_waits(work: Callable[[], None], waits: Callable[[], bool]) -> threading.Thread:
    """Do something once somebody else is known to wait."""

    def run() -> None:
        tick = threading.Event()  # not a sleep: a test may count those of the waiter
        while not waits():
            tick.wait(0.001)
        work()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


class TestEveryKind:
    def test_a_free_key_is_had_at_once(self, one: LeaseSource) -> None:
        lease = take(one, KEY, None)
        assert (lease.waited, lease.failed) == (False, False)

    def test_a_key_has_one_holder(self, one: LeaseSource, two: LeaseSource) -> None:
        lease = take(one, KEY)
        assert two.take(KEY, 0.0) is None
        one.give_back(lease)
        assert take(two, KEY)

    def test_other_keys_are_free(self, one: LeaseSource, two: LeaseSource) -> None:
        take(one, KEY)
        assert take(two, OTHER)

    def test_it_can_be_had_again_and_again(self, one: LeaseSource) -> None:
        for _ in range(20):
            one.give_back(take(one, KEY))

    def test_a_source_that_is_closed_holds_nothing(self, one: LeaseSource, two: LeaseSource) -> None:
        take(one, KEY)
        one.close()
        assert take(two, KEY)

    def test_giving_back_what_a_closed_source_held_is_nothing(self, one: LeaseSource) -> None:
        """In a child process the descriptor may be another file by then."""
        lease = take(one, KEY)
        one.after_fork()
        fd = os.open("/dev/null", os.O_RDONLY)
        one.give_back(lease)
        os.fstat(fd)
        os.close(fd)

    def test_a_process_that_ends_gives_back_all(self, one: LeaseSource, two: LeaseSource) -> None:
        def hold() -> None:
            one.after_fork()
            take(one, KEY)

        assert in_child(hold) == 0
        assert take(two, KEY)

    def test_a_forked_child_does_not_hold_what_its_parent_gives_back(self, one: LeaseSource, two: LeaseSource) -> None:
        lease = take(one, KEY)
        start, done = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            one.after_fork()
            os.write(start[1], b".")
            os.read(done[0], 1)
            os._exit(0)
        os.read(start[0], 1)
        one.give_back(lease)
        got = two.take(KEY, 0.0)
        os.write(done[1], b".")
        os.waitpid(pid, 0)
        for fd in (*start, *done):
            os.close(fd)
        assert got is not None

    def test_a_failure_noted_while_nobody_waits_is_told_to_nobody(self, one: LeaseSource, two: LeaseSource) -> None:
        one.note_failure(KEY)
        lease = take(two, KEY)
        assert (lease.waited, lease.failed) == (False, False)

    @pytest.mark.parametrize("fails", [True, False])
    def test_who_waits_is_told_whether_the_leader_failed(
        self, one: LeaseSource, two: LeaseSource, fails: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lease = take(one, KEY)
        tries: list[int] = []
        sleeping = threading.Event()
        monkeypatch.setattr("fanwise.cache._leases.time.sleep", lambda _: (tries.append(1), sleeping.wait(0.001))[0])

        def end() -> None:
            if fails:
                one.note_failure(KEY)
            one.give_back(lease)

        thread = after_it_waits(end, lambda: len(tries) > 2)
        got = two.take(KEY, 10.0)
        thread.join()
        assert got is not None
        assert (got.waited, got.failed) == (True, fails)

    def test_files_deleted_by_hand_are_made_again(self, one: LeaseSource, place: Path) -> None:
        one.give_back(take(one, KEY))
        for path in sorted(place.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        assert take(one, KEY)
        assert [path for path in place.rglob("*") if path.is_file()]

    @pytest.mark.parametrize("count", [0, 1, 255, 2**63, 2**64 - 2, 2**64 - 1])
    def test_failures_are_counted_round_the_largest_number(self, one: LeaseSource, place: Path, count: int) -> None:
        one.note_failure(KEY)
        file, at = place / "leases", int.from_bytes(KEY[8:10], "little") * 8
        if isinstance(one, StripeLeases):
            file, at = place / "locks" / KEY[:1].hex(), 16
        assert file.read_bytes()[at : at + 8] == (1).to_bytes(8, "little")
        with file.open("r+b") as counters:
            counters.seek(at)
            counters.write(count.to_bytes(8, "little"))
        one.note_failure(KEY)
        assert file.read_bytes()[at : at + 8] == ((count + 1) % 2**64).to_bytes(8, "little")


class TestBytes:
    def test_keys_that_share_the_locked_byte_exclude_each_other(self, directory: Directory) -> None:
        with closing(Leases(directory)) as one, closing(Leases(directory)) as two:
            take(one, KEY)
            assert two.take(SAME_STRIPE, 0.0) is None

    def test_the_two_highest_bits_do_not_reach_beyond_a_file(self, directory: Directory) -> None:
        with closing(Leases(directory)) as leases:
            assert take(leases, b"\xff" * 16).offset == (1 << 62) - 1

    def test_the_table_of_failures_takes_half_a_mebibyte_of_nothing(self, directory: Directory, place: Path) -> None:
        with closing(Leases(directory)) as leases:
            take(leases, KEY)
            status = (place / "leases").stat()
            assert (status.st_size, status.st_blocks) == (1 << 19, 0)

    def test_a_few_descriptors_are_kept_and_no_more(self, directory: Directory) -> None:
        with closing(Leases(directory)) as leases:
            held = [take(leases, bytes([number]) * 16) for number in range(10)]
            for lease in held:
                leases.give_back(lease)
            still_open = [lease for lease in held if os.path.exists(f"/proc/self/fd/{lease.fd}")]
            assert len(still_open) == 4

    def test_without_a_limit_it_sleeps_until_the_lease_is_free(self, directory: Directory) -> None:
        with closing(Leases(directory)) as one, closing(Leases(directory)) as two:
            lease = take(one, KEY)
            asleep = threading.Event()
            lock = _locks.lock

            def watched(fd: int, offset: int = 0, *, wait: bool = True) -> bool:
                if wait:
                    asleep.set()
                return lock(fd, offset, wait=wait)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(_locks, "lock", watched)
                thread = after_it_waits(lambda: one.give_back(lease), asleep.is_set)
                got = two.take(KEY, None)
                thread.join()
            assert got is not None
            assert got.waited


class TestStripes:
    def test_another_key_of_the_stripe_is_waited_for_a_moment_only(self, directory: Directory) -> None:
        with closing(StripeLeases(directory)) as one, closing(StripeLeases(directory)) as two:
            take(one, KEY)
            assert two.take(SAME_STRIPE, None) is None

    def test_the_holder_says_which_key_it_has(self, directory: Directory, place: Path) -> None:
        with closing(StripeLeases(directory)) as leases:
            take(leases, KEY)
            assert (place / "locks" / "41").read_bytes()[:16] == KEY

    @pytest.mark.parametrize("number", [37, 95, 38, 22], ids=["ENOLCK", "EOPNOTSUPP", "ENOSYS", "EINVAL"])
    def test_where_there_are_no_locks_there_is_no_lease(
        self, directory: Directory, number: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(number, "no locks here")

        monkeypatch.setattr(fcntl, "flock", refuse)
        with closing(StripeLeases(directory)) as leases:
            assert leases.take(KEY, None) is None

    def test_another_error_is_the_callers_and_leaves_no_descriptor(
        self, directory: Directory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(fcntl, "flock", fail)
        with closing(StripeLeases(directory)) as leases:
            before = set(os.listdir("/proc/self/fd"))
            with pytest.raises(OSError, match="Input/output"):
                leases.take(KEY, None)
            assert set(os.listdir("/proc/self/fd")) <= before


class TestLocks:
    def test_one_open_file_may_lock_a_byte_twice_and_two_may_not(self, directory: Directory) -> None:
        one, two = (directory.open("lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
        assert _locks.lock(one, 5, wait=False)
        assert _locks.lock(one, 5, wait=False)
        assert not _locks.lock(two, 5, wait=False)
        assert _locks.lock(two, 6, wait=False)
        _locks.unlock(one, 5)
        assert _locks.lock(two, 5, wait=False)
        os.close(one)
        os.close(two)

    def test_closing_another_descriptor_of_the_file_drops_no_lock(self, directory: Directory) -> None:
        one, two, three = (directory.open("lock", os.O_RDWR | os.O_CREAT) for _ in range(3))
        assert _locks.lock(one, wait=False)
        os.close(three)
        assert not _locks.lock(two, wait=False)
        os.close(one)
        os.close(two)

    def test_a_file_opened_for_reading_cannot_be_locked(self, directory: Directory) -> None:
        fd = directory.open("CACHEDIR.TAG")
        with pytest.raises(OSError, match="Bad file descriptor"):
            _locks.lock(fd, wait=False)
        os.close(fd)


class TestPolling:
    def test_a_first_success_does_not_sleep(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("fanwise.cache._leases.time.sleep", lambda _: pytest.fail("it slept"))
        assert poll(lambda: True, 0.0)

    def test_pauses_grow_to_a_fiftieth_of_a_second_and_end_with_the_limit(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now, pauses = [100.0], []

        def sleep(pause: float) -> None:
            pauses.append(pause)
            now[0] += pause

        monkeypatch.setattr("fanwise.cache._leases.time.sleep", sleep)
        monkeypatch.setattr("fanwise.cache._leases.time.monotonic", lambda: now[0])
        assert not poll(lambda: False, 0.5)
        assert sum(pauses) == pytest.approx(0.5)
        assert pauses[0] == 0.001
        assert max(pauses) == 0.02
        assert pauses[:-1] == sorted(pauses[:-1])
