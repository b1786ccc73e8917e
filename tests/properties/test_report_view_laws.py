"""Laws of a report's views: the page nests and asks for nothing, the trace can be loaded, the text is aligned."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pages import read_page
from tests.runs import Story, noise, report_of, stories

from fanwise.records import run_events as told
from fanwise.records.run_events import RunEvent
from fanwise.report import RunReport, as_text, compare
from fanwise.report._privacy import plain_value, redact
from fanwise.report._text import headline

FEWER = settings(max_examples=25)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)


@FEWER
@given(stories())
def test_a_page_nests_as_html_must_and_asks_for_nothing(story: Story) -> None:
    page = read_page(story.report().to_html())
    assert page.faults == []
    assert page.requests == []
    assert len(page.ids) == len(set(page.ids))
    assert Counter(page.tags)["h1"] == 1


@FEWER
@given(noise())
def test_a_page_nests_whatever_is_told(events: list[RunEvent]) -> None:
    page = read_page(report_of(events).to_html())
    assert (page.faults, page.requests) == ([], [])


@FEWER
@given(TEXTS, TEXTS)
def test_a_page_nests_whatever_things_are_called(label: str, message: str) -> None:
    events = [told.RunStarted(0.0, 1, label), told.ItemFailed(0.1, 0, message or "E", message, message)]
    page = read_page(report_of(events, function=label, warnings=(message,)).to_html())
    assert (page.faults, page.requests) == ([], [])


@FEWER
@given(stories())
def test_every_drawing_has_words_for_those_who_do_not_see_it(story: Story) -> None:
    page = read_page(story.report().to_html())
    said: dict[str, Counter[str]] = defaultdict(Counter)
    for tag, name, value in page.attributes:
        said[tag][f"{name}={value}"] += 1
    drawings = said["svg"]["role=img"]
    assert page.tags.count("desc") == drawings
    assert page.tags.count("svg") == drawings + said["svg"]["aria-hidden=true"]
    assert page.tags.count("table") == page.tags.count("caption")


@FEWER
@given(stories())
def test_page_text_and_closing_agree_on_the_first_line(story: Story) -> None:
    report = story.report()
    line = headline(report)
    assert as_text(report).split("\n")[0] == line
    assert " ".join(line.split()) in read_page(report.to_html()).text


@FEWER
@given(noise())
def test_a_trace_can_be_loaded_whatever_is_told(events: list[RunEvent]) -> None:
    trace = json.loads(report_of(events).to_trace())
    lanes = {event["pid"] for event in trace["traceEvents"] if event["ph"] == "M"}
    for event in trace["traceEvents"]:
        assert event["ph"] in "MXiC"
        assert type(event["ts"]) is int
        assert event["ts"] >= 0
        assert event.get("dur", 0) >= 0
        assert event["ph"] in "iC" or event["pid"] in lanes
        assert event["ph"] != "i" or event["s"] in "gpt"


@FEWER
@given(stories())
def test_slices_of_one_lane_lie_in_each_other_or_apart(story: Story) -> None:
    """Viewers stack slices of one track by their times: two that cross cannot be drawn."""
    by_lane: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for event in json.loads(story.report().to_trace())["traceEvents"]:
        if event["ph"] == "X" and event["cat"] not in {"cache", "codec"}:
            by_lane[event["pid"]].append((event["ts"], event["ts"] + event["dur"]))
    for slices in by_lane.values():
        for (_, end), (start, _) in zip(sorted(slices), sorted(slices)[1:], strict=False):
            assert end <= start + 1  # whole microseconds


@FEWER
@given(stories())
def test_the_number_of_running_chunks_ends_at_none_and_is_never_below(story: Story) -> None:
    events = json.loads(story.report().to_trace())["traceEvents"]
    running = [event["args"]["chunks"] for event in events if event["name"] == "running chunks"]
    assert min(running, default=0) >= 0
    assert running[-1:] in ([], [0])


@FEWER
@given(stories())
def test_a_report_in_text_has_no_ragged_line_ends(story: Story) -> None:
    said = as_text(story.report())
    assert said.endswith("\n")
    assert not said.endswith("\n\n")
    assert not re.search(r"[ \t]\n", said)
    assert "\n\n\n" not in said


@FEWER
@given(stories(), stories())
def test_two_runs_stand_in_columns(first: Story, second: Story) -> None:
    one, two = first.report(), second.report()
    rows = compare(one, two).splitlines()[1:]
    names = [re.split(r"\s{2,}", row)[0] for row in rows]
    assert len(names) == len(set(names))
    assert {"wall time", "items", "backend", "decision"} <= set(names)
    lost = {loss.code for report in (one, two) for loss in report.losses}
    assert {name.removeprefix("lost: ") for name in names if name.startswith("lost: ")} == lost


@FEWER
@given(stories())
def test_a_run_beside_itself_has_no_ratio_but_one(story: Story) -> None:
    report = story.report()
    ratios = re.findall(r"\s(\S+)x$", compare(report, report), re.MULTILINE)
    assert set(ratios) <= {"1.00"} | ({f"{report.speedup:.2f}"} if report.speedup is not None else set())


@FEWER
@given(st.lists(st.sampled_from(["a\nb", "x\ty", "\x1b[31mred", "plain", ""]), min_size=2, max_size=2))
def test_a_label_does_not_break_the_columns(labels: list[str]) -> None:
    reports = [report_of([told.RunStarted(0.0, 0, label), told.RunEnded(0.0, "done")]) for label in labels]
    usual = report_of([told.RunStarted(0.0, 0, "plain"), told.RunEnded(0.0, "done")])
    text = compare(reports[0], reports[1])
    assert text.count("\n") == compare(usual, usual).count("\n")
    assert "\x1b" not in text


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=4),
    lambda parts: (
        st.lists(parts, max_size=4)
        | st.dictionaries(st.text(max_size=5) | st.integers(), parts, max_size=4)
        | st.tuples(parts, parts)
    ),
    max_leaves=12,
)


@given(JSON_VALUES)
def test_whatever_an_option_is_its_plain_value_is_json(value: Any) -> None:
    plain = plain_value(value)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain_value(plain) == plain


@FEWER
@given(st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=4))
def test_options_of_any_kind_are_read_back(options: dict[str, Any]) -> None:
    report = report_of([told.RunStarted(0.0, 0, "f")], options=options)
    assert RunReport.from_json(report.to_json()) == report


# Privacy

PASSWORDS = st.text("abcXYZ019%!$&*+,;=_.~^#?-@:", min_size=6, max_size=20).map(lambda text: f"{text}Zq7")
SCHEMES = st.sampled_from(["redis", "rediss", "postgresql+psycopg", "tls", "https", "s3", "HTTP"])
AROUND = st.sampled_from(["", " ", "(", '"', "cache: ", "url=", "at <"])


@given(
    AROUND, SCHEMES, st.sampled_from(["", "ann", "a.b-c", "a%40b"]), PASSWORDS, st.sampled_from(["host", "h:6379/0"])
)
def test_a_password_in_an_address_is_never_shown(before: str, scheme: str, user: str, password: str, host: str) -> None:
    said = redact(f"{before}{scheme}://{user}:{password}@{host} and more")
    assert said == f"{before}{scheme}://{user}:***@{host} and more"


@given(st.lists(st.tuples(SCHEMES, PASSWORDS), min_size=1, max_size=4), st.sampled_from([" ", ", ", ",", " -> ", "\n"]))
def test_each_of_several_addresses_is_hidden(found: list[tuple[str, str]], between: str) -> None:
    said = redact(between.join(f"{scheme}://u:{password}@h/0" for scheme, password in found))
    assert "Zq7" not in said
    assert said.count("***") == len(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("redis://h/0?password=hunter2", "redis://h/0?password=***"),
        ("redis://h/0?db=1&password=hunter2&ssl=1", "redis://h/0?db=1&password=***&ssl=1"),
        ("'redis://h?password=hunter2'", "'redis://h?password=***'"),
        ("s3://h?token=hunter2&x=1&secret=hunter3", "s3://h?token=***&x=1&secret=***"),
        ("https://h/x?token=hunter2#top", "https://h/x?token=***#top"),
        ("https://h/x?Token=hunter2 and more", "https://h/x?Token=*** and more"),
        ("https://h/x?tokens=3", "https://h/x?tokens=3"),
        ("password=hunter2", "password=hunter2"),  # no address: text of the user's own
    ],
)
def test_a_password_may_stand_behind_the_address_too(text: str, said: str) -> None:
    assert redact(text) == said


@given(st.text(max_size=60))
def test_hiding_twice_changes_nothing(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@given(st.text(st.characters(exclude_characters="/~"), max_size=40))
def test_text_without_address_or_path_is_left_alone(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/home/ann/data.csv", "~/data.csv"),
        ("/home/ann", "~"),
        ("cannot read '/home/ann/x'", "cannot read '~/x'"),
        ("/home/ann:/home/ann/bin", "~:~/bin"),
        ("/home/anna/data.csv", "/home/anna/data.csv"),
        ("/mnt/home/ann/data.csv", "/mnt/home/ann/data.csv"),
        ("/home/ann-old/x", "/home/ann-old/x"),
        ("/home/ann.bak", "/home/ann.bak"),
        ("file:///home/ann/x", "file:///home/ann/x"),
    ],
)
def test_only_the_home_directory_itself_becomes_a_tilde(text: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann/")
    assert redact(text) == said
