"""Records: what a frozen dataclass does, as far as anything here relies on it."""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass, fields, is_dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.records._record import record
from fanwise.records.scheduling import Deadline, Finished, Tick


@record
class Point:
    """A place."""

    x: int
    y: float = 0.5
    name: str = ""

    @property
    def far(self) -> bool:
        return self.x > 100

    @classmethod
    def at_origin(cls) -> Point:
        return cls(0, 0.0)


@dataclass(frozen=True, slots=True)
class Twin:
    """The same as a dataclass."""

    x: int
    y: float = 0.5
    name: str = ""


VALUES = st.tuples(st.integers(), st.floats(), st.text())


@given(VALUES, VALUES)
def test_equality_and_text_are_those_of_a_dataclass(one: tuple[int, float, str], other: tuple[int, float, str]) -> None:
    assert (Point(*one) == Point(*other)) == (Twin(*one) == Twin(*other))
    assert repr(Point(*one)) == repr(Twin(*one)).replace("Twin", "Point")


@given(VALUES)
def test_equal_records_have_one_hash_and_survive_pickling(values: tuple[int, float, str]) -> None:
    point = Point(*values)
    assert hash(point) == hash(Point(*values))
    if values[1] == values[1]:
        assert pickle.loads(pickle.dumps(point, 5)) == point


def test_defaults_names_and_what_the_body_defines_stay() -> None:
    point = Point(x=101, name="n")
    assert (point.x, point.y, point.name, point.far) == (101, 0.5, "n", True)
    assert Point.at_origin() == Point(0, 0.0)
    assert (Point.__doc__, Point.__module__, Point.__qualname__) == ("A place.", __name__, "Point")


@given(VALUES)
def test_what_is_done_to_dataclasses_can_be_done_to_records(values: tuple[int, float, str]) -> None:
    point, twin = Point(*values), Twin(*values)
    assert is_dataclass(point)
    assert repr(asdict(point)) == repr(asdict(twin))
    assert repr(replace(point, x=3)) == repr(Point(3, *values[1:]))
    assert [(f.name, f.type, f.default) for f in fields(Point)] == [(f.name, f.type, f.default) for f in fields(Twin)]


def test_there_is_no_room_for_other_attributes() -> None:
    with pytest.raises(AttributeError):
        Point(1).z = 2  # type: ignore[attr-defined]  # that is the point
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        Point()  # type: ignore[call-arg]  # so is that


def test_records_of_two_kinds_are_never_equal() -> None:
    assert Tick(1.0) != Deadline(1.0)
    assert len({Tick(1.0), Deadline(1.0), Tick(1.0)}) == 2


def test_they_can_be_matched() -> None:
    match Finished(1.0, 2, 3, ()):
        case Finished(now, worker=worker):
            assert (now, worker) == (1.0, 2)
