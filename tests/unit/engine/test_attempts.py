"""Who gets a second chance, after how long, and what is said of those who get none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.engine._attempts import Attempts, delay_before, lost, never_ran
from fanwise.errors import ItemTimeoutError, NotPicklableError, WorkerLostError
from fanwise.typing import Retry

RETRIES = st.builds(
    Retry,
    st.integers(1, 5),
    delay=st.floats(0.0, 10.0),
    factor=st.floats(1.0, 4.0),
    max_delay=st.floats(0.0, 60.0),
)


class TestDelay:
    @given(RETRIES, st.integers(0, 10**9), st.integers(2, 40))
    def test_is_exponential_up_to_its_ceiling_times_a_jitter_of_at_most_a_half(
        self, retry: Retry, index: int, attempt: int
    ) -> None:
        full = min(retry.max_delay, retry.delay * retry.factor ** (attempt - 2))
        waited = delay_before(retry, index, attempt)
        assert 0.5 * full * (1 - 1e-9) <= waited <= full * (1 + 1e-9)

    @given(st.integers(0, 10**6), st.integers(2, 9))
    def test_is_the_same_every_time(self, index: int, attempt: int) -> None:
        assert delay_before(Retry(9), index, attempt) == delay_before(Retry(9), index, attempt)

    def test_items_that_failed_together_do_not_come_back_together(self) -> None:
        waits = [delay_before(Retry(1, delay=1.0), index, 2) for index in range(1000)]
        assert len(set(waits)) == 1000
        assert 0.72 < sum(waits) / 1000 < 0.78
        quarters = [sum(0.5 + q / 8 <= wait < 0.5 + (q + 1) / 8 for wait in waits) for q in range(4)]
        assert min(quarters) > 200

    def test_a_great_many_attempts_overflow_nothing(self) -> None:
        assert delay_before(Retry(1, delay=1.0, factor=1e300), 0, 10_000) <= 30.0

    def test_no_delay_is_none_at_any_attempt(self) -> None:
        assert [delay_before(Retry(3, delay=0.0), 5, attempt) for attempt in (2, 3, 50)] == [0.0] * 3


class TestRetries:
    @pytest.mark.parametrize("retry", [None, Retry(0)])
    def test_none_is_granted_where_none_was_asked_for(self, retry: Retry | None) -> None:
        assert Attempts(retry).retry(0, 1, ValueError()) is None

    @given(st.integers(1, 6))
    def test_each_item_has_its_own_number(self, times: int) -> None:
        attempts = Attempts(Retry(times))
        for index in (3, 8):
            granted = [attempts.retry(index, at, ValueError()) is not None for at in range(1, times + 3)]
            assert granted == [True] * times + [False] * 2

    @pytest.mark.parametrize(
        ("on", "error", "again"),
        [
            ((ValueError,), ValueError(), True),
            ((ValueError,), UnicodeError(), True),
            ((ValueError,), KeyError(), False),
            ((ValueError, KeyError), KeyError(), True),
            ((Exception,), ItemTimeoutError("late"), True),
            ((Exception,), WorkerLostError("gone"), True),
            ((Exception,), NotPicklableError("a lock"), False),  # it will not be otherwise next time
            ((BaseException,), SystemExit(3), False),  # the function wants to end
            ((Exception,), KeyboardInterrupt(), False),
            ((BaseException,), KeyboardInterrupt(), True),
        ],
    )
    def test_by_the_kind_of_failure(self, on: tuple[type[BaseException], ...], error: BaseException, again: bool):
        assert (Attempts(Retry(1, on=on)).retry(0, 1, error) is not None) is again

    def test_a_failure_of_another_kind_uses_no_chance_up(self) -> None:
        attempts = Attempts(Retry(1, on=(ValueError,)))
        assert attempts.retry(0, 1, KeyError()) is None
        assert attempts.retry(0, 1, ValueError()) is not None

    def test_the_wait_is_that_of_the_attempt_to_come(self) -> None:
        retry = Retry(5, delay=1.0)
        attempts = Attempts(retry)
        waits = [attempts.retry(7, attempt, ValueError()) for attempt in (1, 2, 3)]
        assert waits == [delay_before(retry, 7, attempt) for attempt in (2, 3, 4)]

    def test_what_is_settled_is_forgotten(self) -> None:
        attempts = Attempts(Retry(1))
        attempts.retry(0, 1, ValueError())
        attempts.strike(0)
        attempts.forget(0)
        attempts.forget(99)
        assert attempts.strike(0)
        assert attempts.retry(0, 1, ValueError()) is not None


def test_the_first_death_is_forgiven_and_the_second_is_not() -> None:
    attempts = Attempts(None)
    assert [attempts.strike(4), attempts.strike(5), attempts.strike(4), attempts.strike(4)] == [
        True,
        True,
        False,
        False,
    ]


def test_a_lost_item_says_what_happened_and_what_to_do() -> None:
    outcome = lost(17, 2, "killed by SIGSEGV")
    assert (outcome.index, outcome.attempts, outcome.reason, outcome.ok) == (17, 2, "killed by SIGSEGV", False)
    assert str(outcome.error).startswith("item 17 was lost: the process that ran it ended (killed by SIGSEGV), in each")
    for hint in ("2 attempts", "workers=1", 'on_error="return"'):
        assert hint in str(outcome.error)
    with pytest.raises(WorkerLostError, match="item 17"):
        outcome.unwrap()


def test_an_item_without_a_worker_says_so() -> None:
    outcome = never_ran(3, 1, "workers keep dying")
    assert str(outcome.error).startswith("item 3 was not run: workers keep dying; run it with workers=1")
    assert (outcome.index, outcome.attempts, outcome.reason) == (3, 1, "workers keep dying")
