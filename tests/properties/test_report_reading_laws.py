"""Reports read from a file: whatever was changed in it, it is refused with the place, or every view of it can be made."""

from __future__ import annotations

import copy
import html
import json
import math
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.costs_of import histogram, slowest
from tests.runs import Story, fanned_out, report_of, stories

from fanwise.errors import InputError
from fanwise.records import run_events as told
from fanwise.records.run_events import ChunkDone
from fanwise.report import RunReport, as_text, compare

EDGES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([10**18, -(10**18), 10**400]),
    st.floats(),
    st.sampled_from([1e300, -1e300, 5e-324]),
    st.text(max_size=5),
    st.sampled_from(["<b>&\"'", "ok", "\x00\x1f", "\ud800"]),
    st.just([]),
    st.just({}),
)


@cache
def plain() -> Any:
    """A report with something in each section."""
    events = [
        *fanned_out()[:-1],
        told.ItemRetried(1.0, 3, 2),
        told.ItemFailed(1.1, 3, "ValueError", "bad", "Traceback …", 1),
        told.MemorySample(0.5, 10**9, 10**8, ((1, 10**7), (2, 10**7))),
        told.WorkerEnded(1.2, 2, "died", "killed by SIGKILL", 11),
        told.ItemLost(1.2, 11, "killed by SIGKILL", 2, last_output="free(): invalid pointer\n"),
        told.RunEnded(1.21, "done"),
    ]
    report = report_of(events, warnings=("look out",), options={"retries": 1})
    return json.loads(report.to_json())


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a tree, the branches included."""
    yield path
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield from places(value, (*path, key))


def changed(path: tuple[Any, ...], value: Any) -> str:
    tree = copy.deepcopy(plain())
    if not path:
        return json.dumps(value)
    at = tree
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return json.dumps(tree)


def views(report: RunReport) -> list[str]:
    return [report.to_json(), report.to_html(), report.to_trace(), as_text(report), compare(report, report)]


@pytest.mark.slow
@settings(max_examples=400)
@given(data=st.data())
def test_a_changed_report_is_refused_or_shown(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(places(plain()), key=repr)))
    text = changed(path, data.draw(EDGES))
    try:
        report = RunReport.from_json(text)
    except InputError as error:
        said = str(error)
    else:
        said = ""
        assert all(views(report))
    assert len(said) < 400


@given(st.text(max_size=40))
@example("[" * 100_000)
@example('{"schema": "fanwise.report/1", "run": NaN}')
@example("NaN")
def test_any_text_is_a_report_or_an_input_error(text: str) -> None:
    with pytest.raises(InputError, match="this is not a fanwise report"):
        RunReport.from_json(text)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400])
def test_a_number_that_a_report_cannot_say_is_refused_with_its_place(value: str) -> None:
    text = re.sub(r'"wall_s": [\d.]+', f'"wall_s": {value}', json.dumps(plain()), count=1)
    with pytest.raises(InputError, match=r"report\.time\.wall_s is"):
        RunReport.from_json(text)


SECRET = "hunter2hunter2"


@settings(max_examples=60)
@given(before=st.integers(0, 5000), after=st.integers(0, 5000))
@example(before=280, after=0)
@example(before=0, after=4080)
@example(before=190, after=10)
def test_a_password_is_hidden_wherever_a_long_text_is_cut(before: int, after: int) -> None:
    """A text that is cut in the middle of an address must not show what the whole one would hide."""
    text = f"{'x' * before} redis://ann:{SECRET}@host/0 {'y' * after}"
    events = [
        told.RunStarted(0.0, 2, "f"),
        told.ItemFailed(0.1, 0, "E", text, text),
        told.ItemLost(0.2, 1, text, 1, traceback=text, last_output=text),
    ]
    for view in views(report_of(events)):
        assert "hunter2" not in view


@settings(max_examples=40)
@given(stories())
def test_costs_are_those_of_the_items_one_by_one(story: Story) -> None:
    """Exact least, mean and greatest; quantiles within 12 %; from the events alone, without histograms."""
    report = story.report()
    chunks = [event for event in story.events if isinstance(event, ChunkDone)]
    computed = sum(event.count - event.cached - event.resumed for event in chunks)
    busy = math.fsum(event.busy for event in chunks)
    costs = report.costs
    assert costs.count == computed == sum(costs.histogram.counts)
    if not computed:
        assert (costs.min_s, costs.mean_s, costs.p50_s, costs.max_s) == (None, None, None, None)
        return
    assert costs.mean_s == pytest.approx(busy / computed)
    assert costs.min_s <= costs.p50_s <= costs.p90_s <= costs.p99_s <= costs.max_s
    assert costs.min_s <= costs.mean_s * (1 + 1e-9)
    assert costs.mean_s <= costs.max_s * (1 + 1e-9)
    slow = [seconds for event in chunks for _, seconds in event.slowest]
    assert costs.max_s >= max(slow, default=0.0) * (1 - 1e-12)


@settings(max_examples=40)
@given(st.lists(st.floats(2e-6, 50.0), min_size=1, max_size=60))
def test_a_quantile_is_within_twelve_hundredths_of_that_of_the_sorted_costs(seconds: list[float]) -> None:
    chunk = told.ChunkDone(
        1.0, 0, 0, len(seconds), ok=len(seconds), busy=sum(seconds), costs=histogram(seconds),
        slowest=slowest(0, seconds), least=min(seconds),
    )  # fmt: skip
    costs = report_of([told.RunStarted(0.0, len(seconds), "f"), chunk]).costs
    ordered = sorted(seconds)
    for share, found in ((0.5, costs.p50_s), (0.9, costs.p90_s), (0.99, costs.p99_s)):
        exact = ordered[math.ceil(share * len(ordered)) - 1]
        assert found == pytest.approx(exact, rel=0.12)
    assert (costs.min_s, costs.max_s) == (ordered[0], ordered[-1])


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
@example("<script>alert(1)</script>")
@example("</title><img src=x onerror=alert(1)>")
@example("]]>&amp;'\"")
def test_no_text_of_the_user_becomes_markup(text: str) -> None:
    events = [
        told.RunStarted(0.0, 2, text),
        told.Planned(0.0, "serial.asked", text, {text: text}),
        told.ItemFailed(0.1, 0, text, text, text),
        told.ItemLost(0.2, 1, text, 1, traceback=text, last_output=text),
    ]
    page = report_of(events, function=text, warnings=(text,), options={text: text}).to_html()
    empty = report_of([told.RunStarted(0.0, 2, "f"), *events[1:]]).to_html()
    for opened in ("<script", "<img", "<iframe", "<a "):
        assert page.count(opened) == empty.count(opened)
    if re.search(r"[<>&]", text) and text.strip():
        assert html.escape(text, quote=False).split()[0] in page or html.escape(text).split()[0] in page


@pytest.mark.slow
@pytest.mark.parametrize("value", [[], {}, 0, -1, "", None], ids=repr)
def test_each_place_alone_may_be_wrong(value: Any) -> None:
    """The same as `test_a_changed_report_is_refused_or_shown`, place by place; list entries only the first."""
    for path in places(plain()):
        if any(isinstance(key, int) and key > 0 for key in path):
            continue
        try:
            report = RunReport.from_json(changed(path, value))
        except InputError:
            continue
        assert all(views(report)), path
