"""Help texts: complete, and the same for both options. Their wording is pinned by `docs/reference/cli.md`."""

from __future__ import annotations

from pathlib import Path

import pytest

from fanwise.cli import main
from fanwise.cli._main import COMMANDS

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.delenv("FANWISE_CACHE_DIR", raising=False)


def printed(name: str, option: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*name.split(), option]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", ["", *COMMANDS], ids=lambda name: name or "fanwise")
def test_both_options_print_the_same(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(name, "-h", capsys) == printed(name, "--help", capsys)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_the_reference(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    section = REFERENCE.read_text("utf-8").partition(f"## fanwise {name}\n")[2].partition("\n## ")[0]
    text = printed(name, "--help", capsys)
    options = {word.rstrip(",.") for word in text.split() if word.startswith("--")}
    assert options
    assert {option for option in options if option not in section} == set()


@pytest.mark.parametrize("name", ["ci", "ci coverage", "search run", "scan"])
def test_workloads_show_examples_and_exit_codes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(name, "--help", capsys)
    assert "Example" in text
    assert "Exit codes:" in text
    for option in ("--parallel", "--backend", "--resume", "--progress", "--report", "--json", "--force"):
        assert option in text
