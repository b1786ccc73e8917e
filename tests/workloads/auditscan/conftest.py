"""Rule files from text, searches without files, and the reference data beside the checkout."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from fanwise.errors import InputError
from fanwise.workloads import auditscan
from fanwise.workloads.auditscan._decode import decode
from fanwise.workloads.auditscan._identify import UNKNOWN, identify_lines
from fanwise.workloads.auditscan._lines import Lines
from fanwise.workloads.auditscan._search import Found, Searcher

LoadRules = Callable[..., auditscan.RuleSet]


@pytest.fixture
def load(tmp_path: Path) -> LoadRules:
    """Write rule files (the first is ``main.yaml``) and read them."""

    def write_and_load(text: str, *, compat: str | None = None, **others: str) -> auditscan.RuleSet:
        folder = tmp_path / "rules"
        folder.mkdir(exist_ok=True)
        for name, content in {"main": text, **others}.items():
            (folder / f"{name}.yaml").write_text(dedent(content), encoding="utf-8")
        return auditscan.load_rules(folder / "main.yaml", compat=compat)

    return write_and_load


@pytest.fixture
def problems(load: LoadRules, tmp_path: Path) -> Callable[..., list[str]]:
    """What is wrong with rule files, without the folder they are in."""

    def of(text: str, **options: Any) -> list[str]:
        with pytest.raises(InputError) as caught:
            load(text, **options)
        return str(caught.value).replace(f"{tmp_path / 'rules'}/", "").split("\n")

    return of


@pytest.fixture
def warnings(load: LoadRules, tmp_path: Path) -> Callable[..., list[str]]:
    """What is odd about rule files that can be used."""

    def of(text: str, **options: Any) -> list[str]:
        return [w.replace(f"{tmp_path / 'rules'}/", "") for w in load(text, **options).warnings]

    return of


def search(rules: auditscan.RuleSet, data: bytes, compat: str | None = None) -> tuple[auditscan.System, list[Found]]:
    """Search bytes as a worker does, without spooling."""
    decoded = decode(data, compat=compat)
    lines = Lines(decoded)
    system = identify_lines(lines) or UNKNOWN
    return system, Searcher(rules, compat).search(decoded, lines, system)


def rows_of(rules: auditscan.RuleSet, found: list[Found]) -> dict[str, list[list[Any]]]:
    """Results by rule name as the reference data has them: line, text, fields."""
    return {rules.rules[one.rule].name: [list(row) for row in one.rows] for one in found}


def read_gz(path: Path) -> Any:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return json.load(file)
