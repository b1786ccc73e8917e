from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, replace

import pytest

from fanwise.report._lazy import LazyRecord


@dataclass(frozen=True, slots=True)
class Point(LazyRecord):
    x: int
    y: int = 2

    @property
    def total(self) -> int:
        return self.x + self.y


class Maker:
    """Counts how often a record was filled in."""

    def __init__(self, made=None):
        self.calls = 0
        self.made = made or Point(1, 5)

    def __call__(self):
        self.calls += 1
        return self.made


def test_a_field_is_worked_out_when_first_read_and_only_once():
    make = Maker()
    point = Point.when_read(make)
    assert make.calls == 0
    assert (point.x, point.y, point.x, point.total) == (1, 5, 1, 6)
    assert make.calls == 1


@pytest.mark.parametrize(
    "use",
    [
        repr,
        hash,
        copy.copy,
        copy.deepcopy,
        lambda point: point == Point(1, 5),
        lambda point: replace(point, x=3),
        lambda point: pickle.loads(pickle.dumps(point)),
        lambda point: point.total,
    ],
)
def test_whatever_needs_the_fields_fills_them_in(use):
    lazy = Maker()
    assert use(Point.when_read(lazy)) == use(Point(1, 5))
    assert lazy.calls == 1


def test_a_record_made_the_usual_way_is_a_record_like_any_other():
    assert Point(1) == Point.when_read(Maker(Point(1, 2)))
    assert {Point(1), Point.when_read(Maker(Point(1)))} == {Point(1)}


def test_other_names_are_attribute_errors_and_fill_nothing_in():
    make = Maker()
    point = Point.when_read(make)
    with pytest.raises(AttributeError, match="'Point' object has no attribute 'z'"):
        _ = point.z
    assert not hasattr(point, "__wrapped__")
    assert make.calls == 0


def test_what_goes_wrong_while_filling_in_is_raised_each_time():
    def fail():
        raise ZeroDivisionError

    point = Point.when_read(fail)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            _ = point.x


def test_a_record_that_reads_another_while_filled_in():
    inner = Point.when_read(Maker(Point(7, 8)))
    outer = Point.when_read(lambda: Point(inner.x, inner.y + 1))
    assert outer == Point(7, 9)
