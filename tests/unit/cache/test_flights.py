"""Single flight within a process: one computes, the others wait, and a failure holds nobody up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from fanwise.cache._flights import MISSING, SingleFlight
from fanwise.cache._leases import Lease
from fanwise.cache._stats import Counters
from fanwise.errors import CacheError

KEY, OTHER = b"A" * 16, b"B" * 16


class Shelf:
    """A job over a dictionary: what is stored is found, and what was computed is counted."""

    def __init__(self, compute: Callable[[], Any], *, storable: bool = True, name: str = "f()") -> None:
        self.found: Any = MISSING
        self.computed = 0
        self._compute = compute
        self._storable = storable
        self._name = name

    def look(self) -> Any:
        return self.found

    def compute(self) -> Any:
        self.computed += 1
        return self._compute()

    def publish(self, value: Any) -> bool:
        if self._storable:
            self.found = value
        return self._storable

    def describe(self) -> tuple[str, str]:
        return "app:", self._name


class Grants:
    """A source of leases that grants what it is told to, and notes what it is asked."""

    def __init__(self, lease: Lease | OSError | None) -> None:
        self.lease = lease
        self.asked: list[float | None] = []
        self.returned = 0
        self.failures = 0

    def take(self, key: bytes, limit: float | None) -> Lease | None:
        self.asked.append(limit)
        if isinstance(self.lease, OSError):
            raise self.lease
        return self.lease

    def give_back(self, lease: Lease) -> None:
        self.returned += 1

    def note_failure(self, key: bytes) -> None:
        self.failures += 1

    def after_fork(self) -> None:
        """Nothing was opened."""

    def close(self) -> None:
        """Nothing was opened."""


def flights(leases: Grants | None = None) -> tuple[SingleFlight, Counters]:
    counters = Counters()
    return SingleFlight("place", lambda: leases, counters), counters


def fail() -> Any:
    raise ValueError("mine")


class TestAlone:
    def test_what_is_missing_is_computed_and_stored(self) -> None:
        job = Shelf(lambda: 5)
        assert flights()[0].run(KEY, job) == 5
        assert (job.computed, job.found) == (1, 5)

    def test_none_is_a_value(self) -> None:
        job = Shelf(lambda: None)
        assert flights()[0].run(KEY, job) is None
        assert job.found is None

    def test_nothing_is_remembered_of_a_flight_that_ended(self) -> None:
        flight, _ = flights()
        flight.run(KEY, Shelf(lambda: 1))
        with pytest.raises(ValueError, match="mine"):
            flight.run(OTHER, Shelf(fail))
        assert flight._flights == {}

    def test_an_error_is_the_callers_and_the_next_call_computes(self) -> None:
        flight, _ = flights()
        job = Shelf(fail)
        for count in (1, 2):
            with pytest.raises(ValueError, match="mine"):
                flight.run(KEY, job)
            assert (job.computed, job.found) == (count, MISSING)

    def test_asking_for_itself_is_an_error_that_shows_the_ring(self) -> None:
        flight, _ = flights()
        inner = Shelf(lambda: flight.run(KEY, Shelf(fail, name="f(1)")), name="g(2)")
        outer = Shelf(lambda: flight.run(OTHER, inner), name="f(1)")
        with pytest.raises(CacheError, match=r"computing 'app:f\(1\)' needs .* again \(f\(1\) -> g\(2\) -> f\(1\)\)"):
            flight.run(KEY, outer)

    def test_the_same_key_of_another_place_is_another_value(self) -> None:
        one = SingleFlight("one", lambda: None, Counters())
        two = SingleFlight("two", lambda: None, Counters())
        assert one.run(KEY, Shelf(lambda: two.run(KEY, Shelf(lambda: 7)))) == 7


class TestWithLeases:
    def test_a_lease_is_given_back_once(self) -> None:
        grants = Grants(Lease(3, 0))
        flights(grants)[0].run(KEY, Shelf(lambda: 1))
        assert (grants.returned, grants.failures) == (1, 0)

    @pytest.mark.parametrize(("compute", "storable", "noted"), [(int, True, 0), (int, False, 1)], ids=["stored", "not"])
    def test_who_waits_is_told_of_a_value_that_is_not_stored(
        self, compute: Callable[[], Any], storable: bool, noted: int
    ) -> None:
        grants = Grants(Lease(3, 0))
        flights(grants)[0].run(KEY, Shelf(compute, storable=storable))
        assert grants.failures == noted

    def test_an_error_is_noted_before_the_lease_is_given_back(self) -> None:
        grants = Grants(Lease(3, 0))
        with pytest.raises(ValueError, match="mine"):
            flights(grants)[0].run(KEY, Shelf(fail))
        assert (grants.failures, grants.returned) == (1, 1)

    @pytest.mark.parametrize("lease", [None, OSError(5, "Input/output error")], ids=["none", "an error"])
    def test_without_a_lease_the_value_is_computed_nevertheless(self, lease: Any) -> None:
        flight, counters = flights(Grants(lease))
        assert flight.run(KEY, Shelf(lambda: 5)) == 5
        assert counters.errors == isinstance(lease, OSError)

    @pytest.mark.parametrize(
        ("lease", "takeovers", "waits"),
        [(Lease(3, 0), 0, 0), (Lease(3, 0, waited=True), 1, 1), (Lease(3, 0, waited=True, failed=True), 0, 1)],
        ids=["free", "its holder died", "its holder failed"],
    )
    def test_a_takeover_is_told_from_a_failure(self, lease: Lease, takeovers: int, waits: int) -> None:
        flight, counters = flights(Grants(lease))
        job = Shelf(lambda: 5)
        assert flight.run(KEY, job) == 5
        assert (job.computed, counters.takeovers, counters.waits) == (1, takeovers, waits)

    def test_what_somebody_stored_meanwhile_is_not_computed(self) -> None:
        job = Shelf(fail)
        job.found = 9
        assert flights(Grants(Lease(3, 0, waited=True)))[0].run(KEY, job) == 9
        assert job.computed == 0

    def test_only_a_caller_that_computes_something_has_a_limit(self) -> None:
        grants = Grants(Lease(3, 0))
        flight, _ = flights(grants)
        flight.run(KEY, Shelf(lambda: flight.run(OTHER, Shelf(int))))
        assert grants.asked == [None, 2.0]


class TestThreads:
    @pytest.mark.parametrize("storable", [True, False])
    def test_one_computes_for_all_unless_it_cannot_be_stored(self, storable: bool) -> None:
        flight, counters = flights()
        leading, go = threading.Event(), threading.Event()

        def compute() -> int:
            leading.set()
            assert go.wait(10.0)
            return 5

        job = Shelf(compute, storable=storable)
        values: list[int] = []
        threads = [threading.Thread(target=lambda: values.append(flight.run(KEY, job))) for _ in range(4)]
        threads[0].start()
        assert leading.wait(10.0)
        for thread in threads[1:]:
            thread.start()
        tick = threading.Event()
        while counters.waits < 3:
            tick.wait(0.001)
        go.set()
        for thread in threads:
            thread.join()
        assert values == [5] * 4
        assert job.computed == (1 if storable else 4)
