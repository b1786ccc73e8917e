"""What a digest was made from is watched: any change that counts is seen and named, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from types import CellType, SimpleNamespace
from typing import Any

import pytest

from fanwise import Cache
from fanwise.cache._captured import ABSENT, cell_content, class_items
from fanwise.cache._walk import capture

FACTOR = 2
TABLE = {"a": 1}
EXTRA: dict[str, Any] = {}


class Settings:
    limit = 10

    def twice(self) -> int:
        return 2


def helper(x: int, by: int = 1) -> int:
    return x + by


def uses_all(x: int) -> int:
    return helper(x) * FACTOR + TABLE["a"] + Settings.limit


def uses_keyword(x: int, *, by: int = 3) -> int:
    return x * by


def uses_builtin(x: int) -> int:
    return abs(x)


def make(inner: Any) -> Callable[[], Any]:
    def read() -> Any:
        return inner

    return read


def change(name: str, patch: pytest.MonkeyPatch) -> None:
    """One change of what `uses_all` reaches."""
    here = globals()
    changes: dict[str, Callable[[], None]] = {
        "a global": lambda: patch.setitem(here, "FACTOR", 3),
        "an item": lambda: patch.setitem(TABLE, "a", 2),
        "a new item": lambda: patch.setitem(TABLE, "b", 2),
        "a helper": lambda: patch.setitem(here, "helper", lambda x: x),
        "a helper's code": lambda: patch.setattr(helper, "__code__", uses_builtin.__code__),
        "a helper's default": lambda: patch.setattr(helper, "__defaults__", (2,)),
        "a class attribute": lambda: patch.setattr(Settings, "limit", 11),
        "a method": lambda: patch.setattr(Settings, "twice", lambda self: 3),
        "a new attribute": lambda: patch.setattr(Settings, "more", 1, raising=False),
        "no global any more": lambda: patch.delitem(here, "FACTOR"),
    }
    changes[name]()


CHANGES = {
    "a global": "FACTOR",
    "an item": "TABLE",
    "a new item": "TABLE",
    "a helper": "helper",
    "a helper's code": "a default value",
    "a helper's default": "a default value",
    "a class attribute": "Settings",
    "a method": "Settings",
    "a new attribute": "Settings",
    "no global any more": "FACTOR",
}
changes = pytest.mark.parametrize("name", CHANGES)


class TestChanges:
    def test_what_nobody_changed_is_current(self) -> None:
        captured = capture(uses_all)
        states = captured.states()
        assert captured.is_current()
        assert captured.states() == states
        assert captured.change_since(states) is None

    @changes
    def test_a_change_that_counts_is_seen_by_name(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        captured = capture(uses_all)
        states = captured.states()
        change(name, monkeypatch)
        assert captured.change_since(states) is not None
        assert CHANGES[name] in str(captured.change_since(states))

    @changes
    def test_data_changed_in_place_shows_in_the_states_and_all_else_at_once(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        captured = capture(uses_all)
        states = captured.states()
        change(name, monkeypatch)
        assert captured.is_current() is ("item" in name)
        assert (captured.states() == states) is ("item" not in name)

    @pytest.mark.parametrize("name", [name for name in CHANGES if name != "no global any more"])
    def test_the_same_change_is_another_key_of_a_memoised_function(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Cache(disk=0) as cache:
            wrapped = cache.memoize(uses_all)
            before = wrapped.key(1)
            with monkeypatch.context() as patch:
                change(name, patch)
                assert wrapped.key(1) != before
            assert wrapped.key(1) == before

    def test_a_change_that_is_taken_back_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        captured = capture(uses_all)
        states = captured.states()
        with monkeypatch.context() as patch:
            change("an item", patch)
            assert captured.change_since(states) == captured.mutables[0].name
        assert captured.change_since(states) is None

    def test_a_keyword_default_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        captured = capture(uses_keyword)
        monkeypatch.setattr(uses_keyword, "__kwdefaults__", {"by": 4})
        assert not captured.is_current()

    def test_a_global_that_hides_a_builtin_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        captured = capture(uses_builtin)
        assert captured.is_current()
        monkeypatch.setitem(globals(), "abs", lambda x: x)
        assert not captured.is_current()
        assert captured.change_since(captured.states()) == "abs"

    def test_what_is_ignored_may_change(self, monkeypatch: pytest.MonkeyPatch) -> None:
        captured = capture(uses_all, ignore_globals=["FACTOR"])
        change("a global", monkeypatch)
        assert captured.change_since(captured.states()) is None
        assert capture(uses_all, ignore_globals=["FACTOR"]).digest == captured.digest

    @pytest.mark.parametrize("version", ["2", 2, (1, "a"), None, b"2"])
    def test_every_version_is_another_digest(self, version: Any) -> None:
        assert capture(uses_builtin, version=version).digest != capture(uses_builtin).digest
        assert capture(uses_builtin, version=version).digest == capture(uses_builtin, version=version).digest


class TestClosures:
    def test_a_variable_bound_anew_is_seen_by_name(self) -> None:
        read = make(1)
        captured = capture(read)
        assert captured.is_current()
        cell = (read.__closure__ or ())[0]
        cell.cell_contents = 2
        assert not captured.is_current()
        assert captured.change_since(captured.states()) == "inner"

    def test_a_variable_changed_in_place_is_another_state(self) -> None:
        held = [1]
        captured = capture(make(held))
        states = captured.states()
        held.append(2)
        assert captured.is_current()
        assert captured.change_since(states) == captured.mutables[0].name

    def test_equal_variables_are_one_digest(self) -> None:
        assert capture(make((1, "a"))).digest == capture(make((1, "a"))).digest
        assert capture(make((1, "a"))).digest != capture(make((1, "b"))).digest

    def test_an_empty_cell_is_absent(self) -> None:
        assert cell_content(CellType()) is ABSENT
        assert cell_content(CellType(None)) is None


@pytest.mark.parametrize(
    ("name", "value", "counts"),
    [
        ("limit", 1, True),
        ("_private", 1, True),
        ("__doc__", "text", False),
        ("__module__", "app", False),
        ("__annotations__", {}, False),
        ("__annotate__", helper, False),
        ("__annotate_func__", helper, False),
        ("__init__", helper, True),
        ("__eq__", staticmethod(helper), True),
        ("__size__", property(helper), True),
        ("__hash__", None, False),
        ("_abc_impl", SimpleNamespace(), False),
        ("_member_map_", {}, False),
        ("_missing_", helper, True),
    ],
)
def test_of_a_class_counts_what_its_author_wrote(name: str, value: Any, counts: bool) -> None:
    assert (name in class_items({name: value})) is counts


def test_the_order_of_attributes_does_not_matter() -> None:
    assert list(class_items({"b": 1, "a": 2})) == list(class_items({"a": 2, "b": 1})) == ["a", "b"]
