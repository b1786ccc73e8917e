"""When the calling process is one of the workers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.engine._config import SchedulerConfig
from fanwise.engine._share import Share


def share(caller_s: float = 0.1, end_s: float = 0.003, *, allowed: bool = True) -> Share:
    return Share(SchedulerConfig(2, here_allowed=allowed, caller_s=caller_s, end_s=end_s))


@pytest.mark.parametrize(
    ("items", "room", "works", "ends"),
    [
        (101, True, False, False),
        (100, True, True, False),
        (100, False, False, False),
        (7, True, True, False),
        (6, True, True, True),
        (0, True, True, False),  # nothing waits: others may have something to give back
    ],
)
def test_for_little_work_it_takes_part_and_for_the_last_of_it_alone(
    items: int, room: bool, works: bool, ends: bool
) -> None:
    made = share()
    made.look(items, 0.001, room=room)
    assert (made.works, made.ends) == (works, ends)


@pytest.mark.parametrize("made", [share(allowed=False), share(0.0)], ids=["forbidden", "never"])
def test_not_where_items_may_not_run_here_or_that_was_not_asked_for(made: Share) -> None:
    made.look(1, 0.001, room=True)
    assert not made.works


def test_nor_before_anything_is_known_of_the_cost() -> None:
    made = share()
    made.look(1, None, room=True)
    assert not made.works


costs = st.floats(1e-9, 10.0)


@given(st.lists(st.tuples(st.integers(0, 10**6), costs, st.booleans()), max_size=9), costs, costs)
def test_who_ends_alone_works_and_what_was_seen_before_does_not_matter(
    looks: list[tuple[int, float, bool]], caller_s: float, end_s: float
) -> None:
    lasting = share(caller_s, end_s)
    for items, cost, room in looks:
        lasting.look(items, cost, room=room)
        fresh = share(caller_s, end_s)
        fresh.look(items, cost, room=room)
        assert (lasting.works, lasting.ends) == (fresh.works, fresh.ends)
        assert lasting.works or not lasting.ends
