"""A table that all items read is frozen once; every process maps the same memory."""

from array import array

import fanwise

with fanwise.freeze({"weights": bytes(array("d", range(100_000)))}) as bundle:

    def total(start: int) -> float:
        weights = memoryview(bundle["weights"]).cast("d")
        return sum(weights[start : start + 1000])

    sums = fanwise.map(total, range(0, 100_000, 1000))
    print(sum(sums))
    assert sum(sums) == sum(range(100_000))
