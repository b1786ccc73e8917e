"""The HTML page: complete, self-contained, escaped, accessible, small."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from tests.runs import fanned_out, report_of, serial_run

from fanwise.records import run_events as told
from fanwise.report import RunReport
from fanwise.report._text import headline


class Page(HTMLParser):
    """Elements, text and the nesting of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.said: list[str] = []
        self.heads: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.said.append(data)
        if self.open[-1:] == ["h2"]:
            self.heads.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.said).split())


def rich_run(label="score"):
    """A run in which everything happened."""
    return [
        *fanned_out(label)[:-3],
        told.ItemRetried(0.5, 3, 2),
        told.ItemFailed(0.7, 3, "ValueError", "bad <3>", "Traceback …\nValueError: bad <3>\n", 1, attempts=2),
        told.ItemFailed(0.8, 4, "KeyError", "'x'", "", 1),
        told.ItemLost(0.9, 9, "killed by SIGSEGV", 2, last_output="free(): invalid pointer\n"),
        told.MemorySample(0.1, 9_000_000, 5_000_000, ((1, 4_000_000),)),
        told.MemorySample(1.0, 8_000_000, 6_000_000, ((1, 4_500_000),)),
        told.MemoryLow(1.0, 1),
        told.WorkerEnded(1.21, 1, "died", "killed by SIGKILL", 3),
        told.RunEnded(1.21, "done"),
    ]


def level(name, **numbers):
    zero = dict.fromkeys(("lookups", "hits", "stored", "evicted", "refused", "errors", "bytes"), 0)
    return {"level": name, "where": "~/.cache", "spent_s": 0.1, "saved_s": 2.0} | zero | numbers


def bundle(*names):
    return {"digest": "ab12", "names": names, "bytes": 180_000_000, "transfers": 3, "attached": 2}


@pytest.fixture
def page():
    cache = [level("memory", lookups=10, hits=7), level("disk")]
    facts = {"warnings": ["UserWarning: slow disk"], "bundles": [bundle("panel", "weights")]}
    report = report_of(rich_run(), cache=cache, options={"retries": 1, "backend": "auto"}, **facts)
    return Page(report.to_html())


def test_sections_come_in_order(page):
    assert page.heads == [
        "What was decided, and why",
        "Where the time went",
        "Timeline",
        "Cost of items",
        "Items without a result",
        "What workers warned of",
        "Shared data",
        "Cache",
        "Memory",
        "Surroundings",
    ]


def test_bundles_and_warnings_are_told(page):
    assert "panel, weights 180 MB 3 2 ab12" in page.text
    assert "UserWarning: slow disk" in page.text


def test_of_a_bundle_with_many_entries_the_first_twenty_are_named():
    text = Page(report_of(rich_run(), bundles=[bundle(*(f"n{i}" for i in range(30)))]).to_html()).text
    assert "n18, n19 180 MB" in text
    assert "The first 20 entries of each are named." in text


def test_the_page_is_well_formed_and_accessible(page):
    assert page.open == []
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == 1
    assert all({"role", "viewbox"} <= set(svg) for svg in page.all("svg") if "aria-hidden" not in svg)
    drawings = sum(1 for svg in page.all("svg") if "role" in svg)
    assert page.elements.count(("desc", {})) == drawings >= 4
    assert len(page.all("caption")) == len(page.all("table")) >= 7
    assert all(head.get("scope") in {"row", "col"} for head in page.all("th"))


def test_states_differ_by_hatching_and_not_only_by_colour(page):
    kinds = {pattern["id"] for pattern in page.all("pattern")}
    assert {"p-ok", "p-failed", "p-lost", "p-cached", "p-retried"} <= kinds


def test_nothing_is_loaded_and_nothing_runs(page):
    for tag, attributes in page.elements:
        assert tag not in {"script", "link", "img", "iframe", "object", "base"}
        assert not {"src", "href", "srcset"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_failures_are_grouped_by_type_with_their_tracebacks(page):
    assert "KeyError: 1 item" in page.text
    assert "ValueError: 1 item" in page.text
    assert "item 3 after 2 attempts (worker 1): bad <3>" in page.text
    assert "item 9 (worker 2) [lost]: killed by SIGSEGV" in page.text
    assert "free(): invalid pointer" in page.text


def test_every_level_of_the_cache_has_a_row(page):
    assert "memory (~/.cache) 10 7 70 %" in page.text
    assert "disk (~/.cache) 0 0 –" in page.text


def test_text_of_the_user_is_escaped():
    evil = "<script>alert(1)</script>\"'&"
    events = [
        *rich_run(evil),
        told.Planned(0.0, "fan-out", f"Because of {evil}", {evil: evil}),
        told.ItemFailed(0.9, 5, evil, evil, evil, 1),
        told.WorkerEnded(1.0, 2, "died", evil),
    ]
    html = report_of(events, function=evil, options={evil: evil}, warnings=[evil]).to_html()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 8
    assert Page(html).open == []


def test_a_label_read_from_a_file_is_escaped():
    tree = json.loads(report_of(rich_run()).to_json())
    tree["failures"][0]["label"] = "<script>alert(1)</script>"
    tree["workers"][0]["name"] = "<script>alert(1)</script>"
    tree["costs"]["slowest"] = [{"item": 1, "label": "<script>alert(1)</script>", "seconds": 0.1}]
    assert "<script" not in RunReport.from_json(json.dumps(tree)).to_html()


def test_an_empty_run_has_a_page():
    page = Page(report_of([told.RunStarted(0.0, 0, "f"), told.RunEnded(0.0, "done")]).to_html())
    assert "0 items in 0 s." in page.text
    assert "Nothing worth mentioning was lost." in page.text


def test_one_item_has_a_page():
    page = Page(report_of(serial_run(items=1)).to_html())
    assert "1 item in 0.10 s." in page.text


def test_a_run_whose_workers_all_died_has_a_page():
    events = [told.RunStarted(0.0, 3, "f")]
    for worker in (1, 2, 3):
        events += [
            told.WorkerStarted(0.1 * worker, worker, worker, "fork", 0.01),
            told.ChunkSent(0.1 * worker, worker, worker - 1, 1),
            told.WorkerEnded(0.1 * worker + 0.05, worker, "died", "exit code 3", worker - 1),
            told.ItemLost(0.1 * worker + 0.05, worker - 1, "exit code 3", worker, attempts=2),
        ]
    report = report_of([*events, told.RunEnded(0.4, "done")])
    page = Page(report.to_html())
    assert headline(report) == "3 items in 0.40 s; 3 lost."
    assert page.text.count("WorkerLostError: 3 items") == 1
    assert report.speedup == 0.0


def test_an_interrupted_run_says_so():
    report = report_of([*serial_run(items=4)[:-2], told.Interrupted(0.3, 2), told.RunEnded(0.31, "interrupted")])
    assert headline(report) == "3 of 4 items in 0.31 s, then interrupted."
    assert "The run was interrupted by SIGINT." in Page(report.to_html()).text


def test_a_run_with_a_deadline_says_so():
    report = report_of([*serial_run(items=4)[:-2], told.RunEnded(0.31, "deadline")])
    assert headline(report) == "3 of 4 items in 0.31 s, then stopped early."


def test_a_long_run_on_many_workers_stays_a_small_page():
    events = [told.RunStarted(0.0, 100_000, "f")]
    for worker in range(1, 65):
        events.append(told.WorkerStarted(0.0, worker, worker, "fork", 0.0))
    for n in range(20_000):
        bad = n % 7 == 0
        events.append(told.ChunkDone(0.01 * n, 1 + n % 64, 5 * n, 5, ok=5 - bad, busy=0.5, slowest=((n, 0.2),)))
        if bad:
            events.append(told.ItemFailed(0.01 * n, 5 * n, "ValueError", "m" * 900, "t" * 4_000, 1 + n % 64))
    html = report_of(events).to_html()
    assert len(html.encode()) < 300_000
    text = Page(html).text
    assert "17 further lanes not drawn." in text
    assert "The first 100 of 2,858 items." in text


def test_the_published_example_has_a_page(shared_data):
    report = RunReport.from_json((shared_data / "eyes" / "example-run.json").read_text("utf-8"))
    page = Page(report.to_html())
    assert page.open == []
    assert "40 items in 2.6 s on 2 workers, 1.80x one process (estimated); 1 failed." in page.text
    assert "item 17 (worker 1): bad 17" in page.text


def test_text_stands_out_from_its_ground_in_light_and_dark():
    """WCAG 2.2: contrast of text at least 4.5 to 1."""
    css = re.search(r"<style>(.*)</style>", report_of([]).to_html(), re.DOTALL)[1]
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w+)", part)) for part in re.split("@media", css)[:2])
    for colours in (light, light | dark):
        for text in ("text", "quiet", "accent", "warn"):
            assert contrast(colours[text], colours["page"]) >= 4.5
            assert contrast(colours[text], colours["card"]) >= 4.5
        assert contrast(colours["on-work"], colours["work"]) >= 4.5


def contrast(first: str, second: str) -> float:
    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    channels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
