"""The picture of a funnel is to scale, and the page says nothing that the numbers do not."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.workloads.modelsearch._filters import FILTERS
from fanwise.workloads.modelsearch._funnel import SHOWN, page, picture, statement
from fanwise.workloads.modelsearch._multiplicity import Multiplicity
from fanwise.workloads.modelsearch._verdicts import LISTS, RANKED, VerdictTable

SVG = "{http://www.w3.org/2000/svg}"
FUNNELS = st.lists(st.integers(0, 10**6), min_size=len(FILTERS), max_size=len(FILTERS))


def bars(text: str, kind: str) -> list[tuple[float, float]]:
    """Begin and width of each bar of a kind."""
    found = ET.fromstring(text).iter(f"{SVG}rect")
    return [(float(bar.get("x", "")), float(bar.get("width", ""))) for bar in found if bar.get("class") == kind]


@given(FUNNELS, st.integers(0, 10**6))
def test_bars_are_to_scale_and_begin_where_the_last_one_ended(fell: list[int], passed: int) -> None:
    tried = sum(fell) + passed
    text = picture(dict(zip(FILTERS, fell, strict=True)), tried)
    kept, lost = bars(text, "kept"), bars(text, "fell")
    full = kept[0][1] + lost[0][1]
    left = tried
    for count, (_, width), (begin, gone) in zip([*fell, 0], kept, lost, strict=True):
        left -= count
        assert width == pytest.approx(full * left / max(tried, 1), abs=0.02)
        assert gone == pytest.approx(full * count / max(tried, 1), abs=0.02)
        assert begin == pytest.approx(kept[0][0] + width, abs=0.02)


@given(FUNNELS, st.integers(0, 10**6))
def test_its_words_are_its_counts(fell: list[int], passed: int) -> None:
    root = ET.fromstring(picture(dict(zip(FILTERS, fell, strict=True)), sum(fell) + passed))
    texts = [node.text or "" for node in root.iter(f"{SVG}text")]
    assert texts[::2] == [*FILTERS, "passed"]
    assert texts[-1] == f"{passed:,} left"
    said = [re.search(r"([\d,]+) fell", text) for text in texts[1::2]]
    assert [int(found[1].replace(",", "")) if found else 0 for found in said] == [*fell, 0]


def test_nothing_tried_is_an_empty_picture() -> None:
    text = picture(dict.fromkeys(FILTERS, 0), 0)
    assert {width for _, width in bars(text, "kept") + bars(text, "fell")} == {0.0}


@pytest.mark.parametrize(
    ("method", "p", "says"),
    [
        ("reality-check", 0.0421, "reality-check p = 0.0421."),
        ("spa", 0.5, "SPA p = 0.5."),
        ("none", None, "no reality check without test rows."),
    ],
)
def test_the_statement_ends_with_the_check(method: str, p: float | None, says: str) -> None:
    text = statement(Multiplicity(method, 12345, None, p, 0.05, 617.25))
    assert text == f"Searched 12,345 models: at p<0.05 about 617.2 pass by chance; {says}"


def ranked(count: int) -> VerdictTable:
    numbers = {name: np.arange(count) / 7.0 for name in RANKED if name not in LISTS}
    lists = {name: np.full((count, 1), 0.5) for name in LISTS}
    whole = {name: np.arange(count) for name in ("id", "rank")} | {"k": np.full(count, 2)}
    return VerdictTable(
        {**numbers, **lists, **whole, "cov": np.full(count, "HC1"), "indices": np.zeros((count, 1), int)}
    )


def verdict(tried: int) -> Multiplicity:
    return Multiplicity("none", tried, None, None, 0.05, 1.0)


@pytest.mark.parametrize("count", [0, 1, SHOWN, SHOWN + 5])
def test_the_page_shows_the_best_twenty(count: int) -> None:
    text = page("t", dict.fromkeys(FILTERS, 0), verdict(count), (ranked(count), VerdictTable({})), ["x:LV"])
    assert text.count("<tr><td>") == min(count, SHOWN)
    assert ("The best 0: none." in text) is (count == 0)
    assert "Nearest misses: none." in text


def test_numbers_of_the_page_have_six_digits_and_ids_are_whole() -> None:
    text = page("t", dict.fromkeys(FILTERS, 0), verdict(3), (ranked(3), VerdictTable({})), ["x:LV"])
    cells = re.findall(r"<td>([^<]*)</td>", text.split("<tbody>")[1])
    assert cells[:3] == ["0", "x:LV", "0"]
    assert "0.142857" in cells
    assert not any(len(cell) > 8 for cell in cells)


def test_labels_and_titles_cannot_break_out_of_the_page() -> None:
    text = page("a<b>&", dict.fromkeys(FILTERS, 0), verdict(1), (ranked(1), VerdictTable({})), ["<i>:LV"])
    assert "<i>" not in text
    assert "&lt;i&gt;:LV" in text
    assert text.count("a&lt;b&gt;&amp;") == 2
