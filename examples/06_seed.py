"""Random numbers that do not depend on how many workers there are."""

import fanwise


def estimate_pi(points: int, rng) -> float:
    x, y = rng.random((2, points))
    return 4 * float(((x * x + y * y) < 1).mean())


one = fanwise.map(estimate_pi, [2000] * 20, seed=42, workers=1)
two = fanwise.map(estimate_pi, [2000] * 20, seed=42, workers=2)
assert one == two
print(sum(one) / len(one))
