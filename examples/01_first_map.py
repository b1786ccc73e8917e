"""The loop and the same thing with fanwise: equal values in equal order, and a sentence that says how it ran."""

import fanwise


def divisors(number: int) -> int:
    return sum(number % candidate == 0 for candidate in range(1, number + 1))


numbers = range(1000, 1400)
run = fanwise.run(divisors, numbers)
assert run.values() == [divisors(number) for number in numbers]
print(run.report.reason)
