"""Text in cells: escaped, cut, free of what XML and Excel refuse."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.workloads.auditscan._cells import MOST_UNITS, attribute, cell_xml, column_letters

any_text = st.text(st.characters(codec=None), max_size=30) | st.text(
    "_x00Dd\x0b\ud800\ufffe<&>\"'\n\r\t😀", max_size=20
)


@pytest.mark.parametrize(
    ("text", "xml"),
    [
        ("plain", "plain"),
        ("a<b>&c", "a&lt;b&gt;&amp;c"),
        ("=1+1", "=1+1"),
        ("_x000D_", "_x005F_x000D_"),
        ("_x12_", "_x12_"),
        ("a_x0041_x0042_", "a_x005F_x0041_x005F_x0042_"),
        ("a\x00\x0b\ud800\ufffe\uffffb", "ab"),
        ("a\r\nb\rc\td", "a\nb\nc\td"),
        ("]]>", "]]&gt;"),
    ],
)
def test_escaping(text: str, xml: str) -> None:
    assert cell_xml(text) == (xml, False)


@given(any_text)
def test_any_text_makes_well_formed_xml_and_comes_back(text: str) -> None:
    xml, was_cut = cell_xml(text)
    assert not was_cut
    back = ET.fromstring(f"<t>{xml}</t>").text or ""
    kept = "".join(
        c for c in text if c in "\t\n\r" or (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff")
    )
    assert back.replace("_x005F_x", "_x") == kept.replace("\r\n", "\n").replace("\r", "\n")


@given(any_text)
def test_any_text_makes_an_attribute(text: str) -> None:
    assert ET.fromstring(f'<t a="{attribute(text)}"/>').get("a") is not None


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize("letter", ["x", "é", "😀", "&"])
def test_a_long_text_is_cut_and_says_so(letter: str) -> None:
    xml, was_cut = cell_xml(letter * 40_000)
    text = ET.fromstring(f"<t>{xml}</t>").text
    assert was_cut
    assert units(text) <= MOST_UNITS
    assert text.endswith(" … [cut, 40000 characters; whole text in results.jsonl]")
    assert units(text.split(" … [")[0]) in {32_699, 32_700}


@pytest.mark.parametrize("text", ["x" * MOST_UNITS, "x" * 16_000, "😀" * 16_383 + "x"])
def test_a_text_that_fits_is_whole(text: str) -> None:
    assert cell_xml(text) == (text, False)


def test_a_surrogate_pair_is_never_split() -> None:
    xml, _ = cell_xml("x" + "😀" * 20_000)
    assert xml.split(" … [")[0] == "x" + "😀" * 16_349


@pytest.mark.parametrize(
    ("number", "letters"), [(1, "A"), (26, "Z"), (27, "AA"), (702, "ZZ"), (703, "AAA"), (16_384, "XFD")]
)
def test_column_letters(number: int, letters: str) -> None:
    assert column_letters(number) == letters
