"""What a fork server loads once for all workers."""

from __future__ import annotations

import collections
import sys
from functools import partial

import pytest

from fanwise.backends.process._start import modules_of


def test_the_modules_of_the_function_and_of_what_it_wraps():
    assert "collections" in modules_of(collections.Counter)
    assert "collections" in modules_of(partial(collections.Counter, [1]))
    assert "collections" in modules_of(collections.Counter())


def test_nothing_that_is_not_loaded_here_and_never_the_main_program(monkeypatch: pytest.MonkeyPatch):
    def of_main(item: int) -> int:
        return item

    of_main.__module__ = "__main__"
    monkeypatch.delitem(sys.modules, "numpy", raising=False)
    monkeypatch.delitem(sys.modules, "cloudpickle.cloudpickle", raising=False)
    assert modules_of(of_main) == ()


@pytest.mark.parametrize("name", ["numpy", "cloudpickle.cloudpickle"])
def test_what_every_worker_would_import_anew(name: str):
    pytest.importorskip(name)
    assert name in modules_of(abs)
