"""Warm workers for several runs, through the interface of concurrent.futures."""

from concurrent.futures import as_completed

import fanwise


def cube(number: int) -> int:
    return number**3


if __name__ == "__main__":
    with fanwise.Executor(2) as executor:
        futures = [executor.submit(cube, number) for number in range(5)]
        print(sorted(future.result() for future in as_completed(futures)))
        print(fanwise.map(cube, range(5), executor=executor))
