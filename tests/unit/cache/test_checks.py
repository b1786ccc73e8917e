"""FANWISE_CACHE_CHECK: a share of the hits is computed again and compared."""

from __future__ import annotations

from itertools import count

import pytest

from fanwise.errors import FanwiseWarning, UsageError
from fanwise.testing import MemoryCache

numbers = count()


def restless(x: int) -> int:
    return x + next(numbers)


def steady(x: int) -> int:
    return x


@pytest.mark.parametrize("text", ["2", "-0.1", "often", "nan"])
def test_another_share_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FANWISE_CACHE_CHECK", text)
    with pytest.raises(UsageError, match="expected a share between 0 and 1"):
        MemoryCache()


def test_a_function_that_gives_another_result_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FANWISE_CACHE_CHECK", "1")
    cache = MemoryCache()
    kept = cache.memoize(restless, ignore_globals=("numbers",), adaptive=False)
    first = kept(1)
    with pytest.warns(FanwiseWarning, match="restless .* gives another result now"):
        assert kept(1) == first, "the stored value is what is returned"


def test_only_the_share_is_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FANWISE_CACHE_CHECK", "0.25")
    kept = MemoryCache().memoize(restless, ignore_globals=("numbers",), adaptive=False)
    kept(5)
    before = next(numbers)
    with pytest.warns(FanwiseWarning):
        for _ in range(8):
            kept(5)
    assert next(numbers) - before == 3


def test_a_function_that_keeps_its_word_is_not_mentioned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FANWISE_CACHE_CHECK", "1")
    cache = MemoryCache()
    kept = cache.memoize(steady)
    assert [kept(1) for _ in range(5)] == [1] * 5
    assert [cache.get_or_compute("a", lambda: 2) for _ in range(3)] == [2] * 3
