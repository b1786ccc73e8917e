"""What a process remembers: views of entries, and bundles by id."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from fanwise import Bundle, freeze
from fanwise.bundle._table import Table
from fanwise.bundle._views import Views


class TestViews:
    def test_an_array_is_remembered_as_long_as_somebody_has_it(self) -> None:
        views, array = Views(), np.zeros(3)
        views.keep("a", array, once=False)
        assert views.found["a"]() is array
        assert views.any_alive()
        del array
        assert views.found["a"]() is None
        assert not views.any_alive()

    def test_what_is_made_once_is_remembered_for_good(self) -> None:
        views = Views()
        views.keep("a", np.arange(3), once=True)
        gc.collect()
        assert views.found["a"]().tolist() == [0, 1, 2]

    def test_what_cannot_be_referred_to_weakly_is_remembered_for_good(self) -> None:
        views = Views()
        views.keep("a", b"abc", once=False)
        assert views.found["a"]() == b"abc"

    def test_a_released_memory_view_is_forgotten(self) -> None:
        views, view = Views(), memoryview(b"abc")
        views.keep("a", view, once=False)
        assert views.found["a"]() is view
        view.release()
        assert views.found["a"]() is None
        del view
        assert views.found["a"]() is None

    def test_objects_remembered_for_good_are_no_views(self) -> None:
        views = Views()
        views.keep("a", {"k": 1}, once=True)
        views.keep("b", b"abc", once=False)
        assert not views.any_alive()

    def test_nothing_is_left_after_clear(self) -> None:
        views = Views()
        views.keep("a", b"abc", once=True)
        views.clear()
        assert views.found == {}


class TestTable:
    @pytest.fixture
    def bundles(self) -> Iterator[list[Bundle]]:
        made = [freeze({"x": np.arange(3)}) for _ in range(4)]
        yield made
        for bundle in made:
            bundle.close()

    @pytest.fixture
    def table(self, bundles: list[Bundle]) -> Iterator[Table]:
        table = Table(limit=2)
        ids = [bundle.id for bundle in bundles]
        for bundle in bundles:
            table.add(bundle)
        del bundle
        yield table
        for id in ids:
            table.drop(id)

    def test_finds_what_lives_and_is_open(self, table: Table, bundles: list[Bundle]) -> None:
        first = bundles[0]
        assert table.find(first.id) is first
        first.close()
        assert table.find(first.id) is None
        assert table.find(bytes(16)) is None

    def test_maps_the_ones_mentioned_last_and_parks_the_others(self, table: Table, bundles: list[Bundle]) -> None:
        ids = [b.id for b in bundles]
        for bundle in (bundles[0], bundles[1], bundles[0], bundles[2]):
            table.keep(bundle)
        bundles.clear()
        del bundle
        assert [table.find(id) is not None for id in ids] == [True, False, True, False]
        assert [table.unpark(id) is not None for id in (ids[0], ids[3])] == [False, False]
        parked = table.unpark(ids[1])
        assert parked is not None
        assert os.fstat(parked.fd).st_size == parked.size
        os.close(parked.fd)

    def test_keeps_what_somebody_holds_a_view_of(self, table: Table, bundles: list[Bundle]) -> None:
        ids, view = [b.id for b in bundles], bundles[0]["x"]
        for bundle in bundles:
            table.keep(bundle)
        bundles.clear()
        del bundle
        assert [table.find(id) is not None for id in ids] == [True, False, False, True]
        del view

    def test_a_dropped_bundle_lives_on_with_whoever_has_it(self, table: Table, bundles: list[Bundle]) -> None:
        table.keep(bundles[0])
        table.drop(bundles[0].id)
        table.drop(bundles[0].id)
        assert table.find(bundles[0].id) is bundles[0]

    def test_a_child_gets_locks_of_its_own(self, table: Table, bundles: list[Bundle]) -> None:
        table.lock.acquire()
        bundles[0]._lock.acquire()
        table.after_fork()
        seen = threading.Thread(target=lambda: (table.keep(bundles[0]), bundles[0].close()))
        seen.start()
        seen.join(10)
        assert bundles[0].closed
