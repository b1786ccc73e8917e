from __future__ import annotations

import json
from importlib.resources import files

import pytest
from tests.runs import fanned_out, report_of

from fanwise.errors import InputError
from fanwise.report import RunReport


def test_the_schema_that_ships_is_the_published_one(shared_data):
    published = (shared_data / "eyes" / "report.schema.json").read_text("utf-8")
    assert json.loads(files("fanwise.report").joinpath("schema-1.json").read_text("utf-8")) == json.loads(published)


def test_the_published_example_reads_and_writes_back_as_it_is(shared_data):
    text = (shared_data / "eyes" / "example-run.json").read_text("utf-8")
    report = RunReport.from_json(text)
    assert json.loads(report.to_json()) == json.loads(text)
    assert (report.items, report.ok, report.failed, report.workers, report.decision) == (40, 39, 1, 2, "process")
    assert report.slowest[0] == (31, 0.6)
    assert (report.bytes_in, report.bytes_out, report.chunk_sizes) == (0, 0, (0, 0, 0))
    assert report.user == pytest.approx(4.678137)
    assert report.coordinator_time == 0.0
    lane = report.lanes[1]
    assert (lane.busy, lane.idle, lane.cpu_seconds, lane.peak_rss) == (2.098558, 0.116832, 0.0, 31457280)


def tree(**changes):
    return json.loads(report_of(fanned_out()).to_json()) | changes


def test_fields_added_later_are_passed_over():
    later = tree(colour="blue")
    later["run"]["mood"] = "good"
    later["workers"][0]["spans"][0]["note"] = 1
    assert RunReport.from_json(json.dumps(later)).items == 12


def test_whole_numbers_stand_for_floats():
    whole = tree()
    whole["time"]["wall_s"] = 2
    assert RunReport.from_json(json.dumps(whole)).wall == 2.0


def wrong_type():
    broken = tree()
    broken["workers"][1]["items"] = "five"
    return json.dumps(broken)


def missing():
    broken = tree()
    del broken["plan"]["decisions"]
    return json.dumps(broken)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", "not JSON"),
        ("[]", '"schema" is None'),
        ('{"schema": "fanwise.report/2"}', "'fanwise.report/2', expected \"fanwise.report/1\""),
        ('{"schema": "fanwise.report/1"}', "report.fanwise is missing"),
        (missing(), "report.plan.decisions is missing"),
        (wrong_type(), r"report.workers\[1\].items is 'five', expected a value of type int"),
        (json.dumps(tree(run=3)), "report.run is 3, expected an object"),
        (json.dumps(tree(losses={})), "report.losses is {}, expected a list"),
        (json.dumps(tree(failures_left_out=True)), "failures_left_out is True, expected a value of type int"),
        (json.dumps(tree(workers=[])), "no lane or no decision"),
    ],
)
def test_anything_else_is_refused_with_the_place_where_it_differs(text, message):
    with pytest.raises(InputError, match=message):
        RunReport.from_json(text)


def test_additions_that_say_nothing_are_not_written():
    written = tree()
    assert "restarts" not in written["workers"][0]
    assert "events" not in written
    assert written["traffic"]["chunks"] == 3


def test_what_json_cannot_say_is_null_or_named_by_its_type():
    class Retry:
        pass

    options = {"timeout": float("nan"), "retry": Retry(), "on": (1, {2}), "deep": {3: None}}
    written = json.loads(report_of(fanned_out(), options=options).to_json())["options"]
    assert written["timeout"] is None
    assert written["retry"].endswith("Retry")
    assert written["on"] == [1, [2]]
    assert written["deep"] == {"3": None}
