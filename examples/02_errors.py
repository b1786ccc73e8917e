"""`map` raises what the loop would have raised, and says for which item; `run` gives every item an outcome."""

import fanwise


def reciprocal(number: float) -> float:
    return 1 / number


try:
    fanwise.map(reciprocal, [2, 0, 4])
except ZeroDivisionError as error:
    print(error, "·", error.__notes__[0].splitlines()[0])

run = fanwise.run(reciprocal, [2, 0, 4])
for item, outcome in zip([2, 0, 4], run.outcomes, strict=True):
    print(item, outcome.value if outcome.ok else f"failed: {outcome.error}")
