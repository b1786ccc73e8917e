"""Every example runs from an empty folder, is short, and is listed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py"))
MARKS = {"09_dask_local": (pytest.mark.dask, pytest.mark.slow)}


@pytest.mark.process
@pytest.mark.parametrize("script", [pytest.param(s, id=s.stem, marks=MARKS.get(s.stem, ())) for s in SCRIPTS])
def test_an_example_runs(script: Path, tmp_path: Path) -> None:
    paths = os.pathsep.join(filter(None, [str(FOLDER.parent / "src"), os.environ.get("PYTHONPATH")]))
    ended = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", str(script)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.strip()
    assert list(tmp_path.iterdir()) == []


def test_examples_are_short_and_listed() -> None:
    listed = (FOLDER / "README.md").read_text("utf-8")
    assert SCRIPTS
    for script in SCRIPTS:
        assert len(script.read_text("utf-8").splitlines()) <= 60, script.name
        assert f"`{script.name}`" in listed
