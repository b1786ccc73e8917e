"""What was computed once is not computed again, in this process or the next one."""

import tempfile

import fanwise


def slow_square(number: int) -> int:
    return number * number


with tempfile.TemporaryDirectory() as folder, fanwise.Cache(folder) as cache:
    cached = cache.memoize(slow_square)
    print(cached(12), cached(12))
    stats = cache.stats()
    print(f"{stats.hits} of {stats.hits + stats.misses} answers came from the cache")
    assert (stats.hits, stats.misses) == (1, 1)
