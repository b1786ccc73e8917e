"""Results as they come, from an input that never ends, in bounded memory."""

import itertools

import fanwise


def is_prime(number: int) -> tuple[int, bool]:
    return number, number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


results = fanwise.stream(is_prime, itertools.count(10_000))
primes = list(itertools.islice((number for number, prime in results if prime), 5))
results.close()
print(primes)
assert primes == [10_007, 10_009, 10_037, 10_039, 10_061]
