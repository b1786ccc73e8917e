"""The demo runs its jobs both ways, compares them to the last bit, and says so."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

import fanwise
from fanwise.cli import main
from fanwise.cli._demo_envelope import SWITCHES, output, ways
from fanwise.cli._demo_jobs import JOBS, DemoJob, Measured, Way, measure
from fanwise.cli._page import bars, page
from fanwise.cli.demo import compared
from fanwise.workloads.envelope import generate_grid, sweep


def job(*, same: bool = True) -> DemoJob:
    run = fanwise.run(abs, [-1, 2])
    return DemoJob("sums", 2, "numbers <b>", lambda: b"12", lambda: (b"12" if same else b"13", run.report))


def test_equal_outputs_are_identical() -> None:
    measured = measure(job())
    assert measured.identical
    assert measured.loop_digest == measured.fanwise_digest
    assert measured.gain > 0


def test_one_different_byte_is_a_difference() -> None:
    assert not measure(job(same=False)).identical


def test_the_page_says_what_was_gained_and_escapes_what_it_is_given() -> None:
    text = page([measure(job())])
    assert "All results are identical to the plain loop." in text
    assert "numbers &lt;b&gt;" in text
    assert "<script" not in text
    assert 'href="sums.html"' in text
    assert "http://" not in text.replace("http-equiv", "")
    assert "Results differ." in page([measure(job(same=False))])


def test_bars_are_drawn_to_scale() -> None:
    text = bars([("ci", 2.0, 1.0)])
    assert 'width="360.0"' in text
    assert 'width="180.0"' in text
    assert "<title>" in text


def test_more_ways_stand_beside_the_plain_loop() -> None:
    made = [Way("neither", "first", 0.5, 0, b"12", "one"), Way("both", "repeated", 0.25, 7, b"13", "two")]
    say = io.StringIO()
    told = compared(measure(replace(job(), ways=lambda: iter(made))), say)
    assert [(way["way"], way["hits"], way["identical"]) for way in told] == [("neither", 0, True), ("both", 7, False)]
    head, first, second = say.getvalue().splitlines()
    assert head.split() == ["way", "run", "seconds", "loop", "/", "it", "hits", "identical", "why"]
    assert first.endswith("yes        one")
    assert second.endswith("NO         two")


def test_the_four_ways_of_envelopes_are_one_answer() -> None:
    grid = generate_grid(cells=60, crops=2, countries=3, seed=1)
    found = list(ways(grid))
    plain = sweep(grid, by="country", method="step", points="compact", progress="none")
    assert [(way.name, way.run) for way in found] == [(name, run) for name in SWITCHES for run in ("first", "repeated")]
    assert {way.output for way in found} == {output(plain)}
    assert [way.hits for way in found] == [0, 0, 0, 2, 0, 0, 0, 2]


@pytest.fixture
def small_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    from fanwise.cli import _demo_ci

    monkeypatch.setattr(_demo_ci, "SIMULATED", 300)


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.usefixtures("small_demo")
class TestCommand:
    def test_it_ends_well_and_writes_its_report(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["demo", "--out", str(tmp_path / "report")]) == 0
        out = capsys.readouterr().out
        assert "All results are identical to the plain loop: yes" in out
        for name in JOBS:
            assert f"\n{name} " in out
            assert (tmp_path / "report" / f"{name}.html").read_text().lower().startswith("<!doctype html>")
        assert (tmp_path / "report" / "index.html").exists()

    def test_machines_get_an_object(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["demo", "--json", "--out", str(tmp_path)]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["schema"] == "fanwise.demo/1"
        assert told["identical"] is True
        assert [job["job"] for job in told["jobs"]] == list(JOBS)

    def test_a_difference_is_a_defect(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from fanwise.cli import demo

        def differing(_: DemoJob) -> Measured:
            return measure(job(same=False))

        monkeypatch.setattr(demo, "measure", differing)
        assert main(["demo", "--out", str(tmp_path)]) == 1
        assert "identical to the plain loop: NO" in capsys.readouterr().out


@pytest.mark.slow
def test_the_demos_tables_are_the_same_every_time() -> None:
    from fanwise.cli._demo_ci import published, simulated

    first, second = simulated(50), simulated(50)
    assert (first == second).all()
    assert (first >= 0).all()
    assert len(published()) >= 13
