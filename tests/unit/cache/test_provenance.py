"""Where code comes from decides what of it counts: its text, or the version of its package."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import sys
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

import fanwise
from fanwise.cache._immutable import is_immutable
from fanwise.cache._provenance import PROJECT, code_origin, distribution, file_name, module_origin, origin_of


def own(x: int) -> int:
    return x


class TestOrigins:
    def test_this_file_is_the_project(self) -> None:
        assert origin_of(own) == PROJECT
        assert module_origin(__name__) == PROJECT
        assert module_origin("__main__") == PROJECT

    def test_packages_count_by_name_and_version(self) -> None:
        assert module_origin("numpy.linalg") == f"numpy {metadata.version('numpy')}"
        assert origin_of(np.ndarray) == f"numpy {metadata.version('numpy')}"
        assert module_origin("pytest") == f"pytest {metadata.version('pytest')}"

    def test_a_package_named_otherwise_than_its_folder_is_found(self) -> None:
        assert origin_of(yaml.safe_load) == f"PyYAML {metadata.version('PyYAML')}"
        assert distribution("yaml") == f"PyYAML {metadata.version('PyYAML')}"

    def test_python_itself(self) -> None:
        assert (
            origin_of(json.dumps) == origin_of(len) == origin_of(functools.partial) == module_origin("os") == "python"
        )
        assert origin_of(os.fspath) == "python"

    def test_frozen_code_is_python(self) -> None:
        code = compile("1", "<frozen importlib>", "eval")
        assert code_origin(code, "importlib") == "python"

    def test_the_library_counts_by_its_version_and_its_jobs_by_their_text(self) -> None:
        assert module_origin("fanwise.report") == f"fanwise {fanwise.__version__}"
        assert module_origin("fanwise.workloads.exactci") == PROJECT

    def test_a_module_that_nobody_finds_is_the_project(self) -> None:
        assert module_origin("no_such_module_anywhere") == PROJECT
        assert module_origin("no_such.thing") == PROJECT

    def test_a_package_without_records_counts_by_what_it_says_of_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        bare = ModuleType("bare_module_of_nobody")
        assert distribution("bare_module_of_nobody") == "bare_module_of_nobody ?"
        distribution.cache_clear()
        bare.__version__ = "3.2"
        monkeypatch.setitem(sys.modules, "bare_module_of_nobody", bare)
        assert distribution("bare_module_of_nobody") == "bare_module_of_nobody 3.2"
        distribution.cache_clear()

    def test_a_namespace_package_is_where_its_folder_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "spacious").mkdir()
        monkeypatch.syspath_prepend(str(tmp_path))
        import spacious  # type: ignore[import-not-found]  # made above

        assert module_origin("spacious") == PROJECT
        monkeypatch.delitem(sys.modules, "spacious")
        assert spacious.__path__

    def test_scripts_and_notebooks(self) -> None:
        assert file_name(compile("1", "/home/me/job.py", "eval")) == "job.py"
        assert file_name(compile("1", "<ipython-input-3-abc>", "eval")) == "ipython"
        assert file_name(compile("1", "/tmp/ipykernel_123/99.py", "eval")) == "ipykernel"
        assert file_name(compile("1", "<stdin>", "eval")) == "stdin"


@dataclasses.dataclass(frozen=True)
class Firm:
    parts: Any


@dataclasses.dataclass
class Soft:
    parts: Any


def firm_array() -> np.ndarray[Any, Any]:
    array = np.arange(3)
    array.setflags(write=False)
    return array


@pytest.mark.parametrize(
    "value",
    [
        *(1, "a", None, (1, (2, "b")), frozenset({1}), Decimal(1), Path("a"), Firm((1, 2)), own, len, int),
        *(np.float64(1), functools.partial(own, 1), firm_array(), np.int8(1)),
    ],
)
def test_what_cannot_change_is_known_as_such(value: Any) -> None:
    assert is_immutable(value)


@pytest.mark.parametrize(
    "value",
    [[1], {}, set(), bytearray(), (1, [2]), Firm([1]), Soft(1), np.arange(3), np.zeros(1, "i4,i4")[0], object()],
)
def test_what_can_change_is_looked_at_again(value: Any) -> None:
    assert not is_immutable(value)
