"""The search of the demonstration: its data are there, and loop and fanwise give the same bytes."""

from __future__ import annotations

from importlib.resources import files

import pytest

from fanwise.workloads import modelsearch

FOLDER = files("fanwise") / "_demo" / "macro"


def test_the_data_come_with_their_origin() -> None:
    assert "Public domain" in (FOLDER / "README.md").read_text("utf-8")
    frame = modelsearch.prepare(str(FOLDER / "search.toml"))
    assert (len(frame.y), len(frame.y_test), len(frame.items)) == (168, 23, 57)
    assert frame.excluded == ()


def test_the_space_is_as_large_as_the_tutorial_says() -> None:
    assert modelsearch.plan(str(FOLDER / "search.toml")).count == 112_991


@pytest.mark.slow
@pytest.mark.process
def test_loop_and_fanwise_give_the_same_rows() -> None:
    demo = pytest.importorskip("fanwise.cli._demo_search")
    job = demo.job()
    found, report = job.fanwise()
    assert found == job.loop()
    assert found.count(b"\n") == 80
    assert report.ok == report.items == 28
    assert job.items == 112_991
