"""What waits, and in which order it goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fanwise.engine._queue import Queue, Waiting


def filled(*ranges: tuple[int, int]) -> Queue:
    queue = Queue()
    for first, stop in ranges:
        queue.add(first, stop)
    return queue


def drained(queue: Queue, step: int = 1) -> list[int]:
    indexes: list[int] = []
    while queue.size:
        taken = queue.take(step)
        assert taken.stop - taken.first <= step
        indexes += range(taken.first, taken.stop)
    return indexes


def test_neighbouring_ranges_become_one():
    assert filled((0, 3), (3, 10)).take(10) == Waiting(0, 10)


def test_an_empty_range_is_nothing():
    assert filled((3, 3)).size == 0


def test_what_comes_back_goes_first():
    queue = filled((10, 20))
    queue.put_back(Waiting(4, 6))
    queue.put_back(Waiting(2, 3, attempt=2))
    assert queue.take(9) == Waiting(2, 3, 2)
    assert queue.take(1) == Waiting(4, 5)
    assert queue.lowest == 5
    assert drained(queue) == [5, *range(10, 20)]


def test_delayed_items_wait_for_their_time():
    queue = Queue()
    queue.delay(2.0, Waiting(7, 8, 2))
    queue.delay(1.0, Waiting(9, 10, 2))
    assert (queue.size, queue.next_due, queue.lowest) == (0, 1.0, 7)
    queue.wake(1.5)
    assert (queue.size, queue.next_due) == (1, 2.0)
    assert drained(queue) == [9]


def test_above_the_ceiling_nothing_waits():
    queue = filled((0, 10))
    queue.delay(1.0, Waiting(8, 9, 2))
    queue.put_back(Waiting(2, 7))
    queue.drop_from(5)
    queue.put_back(Waiting(6, 9))
    queue.add(10, 20)
    queue.wake(5.0)
    assert sorted(drained(queue)) == [0, 1, 2, 2, 3, 3, 4, 4]


def test_single_items_are_taken_out_wherever_they_wait():
    queue = filled((10, 15))
    queue.put_back(Waiting(3, 6))
    queue.delay(1.0, Waiting(1, 2, 2))
    assert sorted(queue.remove([1, 4, 10, 14, 99])) == [1, 4, 10, 14]
    assert queue.next_due == float("inf")
    assert drained(queue) == [3, 5, 11, 12, 13]


def test_suspects_and_innocents_are_told_apart():
    queue = filled((10, 12))
    queue.put_back(Waiting(3, 5, suspect=True))
    queue.put_back(Waiting(6, 9))
    queue.delay(1.0, Waiting(1, 2, 3, suspect=True))
    assert queue.suspects == 1
    assert queue.take_innocent(2) == Waiting(6, 8)
    assert queue.take_innocent(2) == Waiting(8, 9)
    assert queue.take_innocent(1) == Waiting(10, 11)
    assert queue.take_suspect() == Waiting(3, 5, suspect=True)
    assert queue.take_suspect() is None
    assert queue.take_suspects() == [Waiting(1, 2, 3, suspect=True)]
    assert queue.take_all() == [Waiting(11, 12)]
    assert queue.take_innocent(1) is None


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), max_size=8),
    st.lists(st.integers(1, 7), min_size=1, max_size=60),
    st.data(),
)
def test_every_item_leaves_once_whatever_comes_back(gaps, sizes, data):
    queue, first, expected = Queue(), 0, []
    for gap, count in gaps:
        queue.add(first + gap, first + gap + count)
        expected += range(first + gap, first + gap + count)
        first += gap + count
    gone: list[int] = []
    for size in sizes:
        if not queue.size:
            break
        taken = queue.take(size)
        back = data.draw(st.integers(0, taken.stop - taken.first))
        gone += range(taken.first, taken.stop - back)
        queue.put_back(taken._replace(first=taken.stop - back))
        assert queue.size == len(expected) - len(gone)
    assert sorted(gone + drained(queue)) == expected
