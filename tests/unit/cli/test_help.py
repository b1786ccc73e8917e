"""Help texts change on purpose only: what each command prints is compared with what was approved."""

from __future__ import annotations

import pytest
from tests.unit.cli.help_texts import HELP

from fanwise.cli import main
from fanwise.cli._main import COMMANDS


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.delenv("FANWISE_CACHE_DIR", raising=False)


def test_every_command_has_an_approved_text() -> None:
    assert set(HELP) == {"", *COMMANDS}


@pytest.mark.parametrize("name", HELP, ids=lambda name: name or "fanwise")
def test_the_help_text_is_the_approved_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == 0
    assert capsys.readouterr().out == HELP[name]


@pytest.mark.parametrize("name", HELP, ids=lambda name: name or "fanwise")
def test_the_short_option_prints_the_same(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "-h"]) == 0
    assert capsys.readouterr().out == HELP[name]


@pytest.mark.parametrize("name", [name for name in COMMANDS if name in {"ci", "ci coverage"}])
def test_workloads_show_examples_and_exit_codes(name: str) -> None:
    assert "Examples:" in HELP[name]
    assert "Exit codes:" in HELP[name]
    for option in ("--parallel", "--backend", "--resume", "--progress", "--report", "--json", "--force"):
        assert option in HELP[name]
