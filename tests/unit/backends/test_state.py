"""The caller's state, taken and restored."""

from __future__ import annotations

import decimal
import locale
import logging
import os
import pickle
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanwise.backends.process import _state
from fanwise.backends.process._state import Place, State, reseed, restore, snapshot


@pytest.fixture(autouse=True)
def _undo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    limit, path, cwd, environ = sys.getrecursionlimit(), list(sys.path), os.getcwd(), dict(os.environ)
    with warnings.catch_warnings(), decimal.localcontext():
        yield
    sys.setrecursionlimit(limit)
    sys.path[:] = path
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)
    logging.disable(logging.NOTSET)


def meaning(taken: bytes) -> str:
    """A snapshot as text: its bytes also tell which of its strings were one object."""
    place, packed = pickle.loads(taken)
    return repr((place.cwd, place.path, sorted(place.environ.items()), pickle.loads(packed)))


def test_equal_states_have_equal_snapshots() -> None:
    before = snapshot()
    assert snapshot() == before
    sys.setrecursionlimit(sys.getrecursionlimit() + 1)
    assert snapshot() != before


def test_nothing_is_pickled_again_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot()
    monkeypatch.setattr(_state, "dumps", None)
    monkeypatch.setattr(_state, "dumps_by_value", None)
    assert snapshot() is before


@pytest.mark.parametrize(
    "change",
    [
        lambda: os.environ.__setitem__("FANWISE_TEST", "x"),
        lambda: sys.path.append("/elsewhere"),
        lambda: setattr(decimal.getcontext(), "prec", 5),
        lambda: warnings.filterwarnings("ignore", "some text"),
        lambda: logging.disable(logging.ERROR),
    ],
    ids=["environ", "path", "decimal", "warnings", "logging"],
)
def test_a_change_is_noticed_and_undone_by_restoring(change: object) -> None:
    before = snapshot()
    meant = meaning(before)
    change()  # type: ignore[operator]
    assert snapshot() != before
    assert meaning(snapshot()) != meant
    restore(before)
    assert meaning(snapshot()) == meant


def test_the_usual_filters_need_no_pickling_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of Python's own names the module ``__main__``: that is a text, and loads nothing."""
    monkeypatch.setattr(warnings, "filters", [("default", None, DeprecationWarning, "__main__", 0)])
    monkeypatch.setattr(_state, "dumps_by_value", None)
    restore(snapshot())


def test_a_filter_for_a_class_of_the_main_module_goes_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    own = type("Own", (UserWarning,), {"__module__": "__main__"})
    monkeypatch.setattr(warnings, "filters", [("error", None, own, None, 0)])
    restore(snapshot())
    assert warnings.filters[0][2].__name__ == "Own"


def test_numpy_errors_travel_if_numpy_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    np = pytest.importorskip("numpy")
    with np.errstate(all="ignore"):
        before = snapshot()
        np.seterr(divide="raise")
        restore(before)
        assert np.geterr()["divide"] == "ignore"
    monkeypatch.delitem(sys.modules, "numpy")
    assert State.here().numpy_errors is None


def test_what_is_not_loaded_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("locale", "decimal", "logging", "warnings", "numpy", "numpy.random"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    state = State.here()
    reseed()
    assert (state.locale, state.decimal, state.log_levels, state.warning_filters) == ("", None, (), ())
    assert "decimal" not in sys.modules


def test_the_locale_travels() -> None:
    before = locale.setlocale(locale.LC_ALL)
    state = State.here()
    assert state.locale == before
    state.apply()
    assert locale.setlocale(locale.LC_ALL) == before


def test_levels_of_loggers_travel() -> None:
    logger = logging.getLogger("fanwise_test.levels")
    logger.setLevel(17)
    taken = snapshot()
    logger.setLevel(logging.NOTSET)
    restore(taken)
    assert logger.level == 17
    logger.setLevel(logging.NOTSET)


def test_a_directory_that_is_gone_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    place = Place.here()
    assert place.cwd == ""
    os.chdir(tmp_path)
    place.apply()
    assert os.getcwd() == str(tmp_path)


def test_variables_that_the_caller_lacks_are_removed() -> None:
    place = Place.here()
    os.environ["FANWISE_TEST"] = "x"
    place.apply()
    assert "FANWISE_TEST" not in os.environ


def test_seeds_are_drawn_anew() -> None:
    np = pytest.importorskip("numpy")
    np.random.seed(1)
    first = np.random.random()
    np.random.seed(1)
    reseed()
    assert np.random.random() != first
    assert _state.reseed is reseed


def test_the_key_of_a_multiprocessing_family_travels() -> None:
    from multiprocessing.process import current_process

    before = current_process().authkey
    try:
        current_process().authkey = b"ours"
        taken = State.here()
        current_process().authkey = b"theirs"
        taken.apply()
        assert current_process().authkey == b"ours"
    finally:
        current_process().authkey = before
