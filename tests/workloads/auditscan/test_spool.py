"""Rows on their way to disk and back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.workloads.auditscan import Match, System
from fanwise.workloads.auditscan._search import Found
from fanwise.workloads.auditscan._spool import (
    Spooled,
    SpooledMatches,
    count_found,
    have_fields,
    pack_head,
    prefixed,
    raw_rows,
    row_values,
    spool,
    unpack,
)

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
fields = st.none() | st.dictionaries(any_text, any_text, max_size=3)
rows = st.lists(st.tuples(st.integers(1, 10**6), any_text, fields), max_size=5)


def matches(found: Found) -> SpooledMatches:
    (block,), body = spool([found])
    return SpooledMatches(block, lambda offset, length: body[offset : offset + length])


@given(st.lists(rows, max_size=4))
def test_each_rule_gets_its_rows_back(tables: list) -> None:
    blocks, body = spool([Found(n, table) for n, table in enumerate(tables)])
    assert [block.rows for block in blocks] == [len(table) for table in tables]
    for block, table in zip(blocks, tables, strict=True):
        back = SpooledMatches(block, lambda offset, length: body[offset : offset + length])
        assert list(back) == [Match(*row) for row in table]
        assert len(back) == len(table)
        assert back == [Match(*row) for row in table]


@given(rows, st.dictionaries(st.text("abc", min_size=1), any_text, min_size=1, max_size=2))
def test_a_prefixed_row_is_the_whole_object(table: list, front: dict) -> None:
    _, body = spool([Found(0, table)])
    prefix = (json.dumps(front)[:-1] + ",").encode()
    lines = prefixed(body, prefix).decode().split("\n")[:-1]
    assert [json.loads(line) for line in lines] == [
        {**front, "line": line, "text": text, "fields": values, "missing": False} for line, text, values in table
    ]


def test_rows_are_compact_json_without_escapes() -> None:
    _, body = spool([Found(0, [(3, 'é"\n', {"a": "ü"})], missing=True)])
    assert body.decode() == '{"line":3,"text":"é\\"\\n","fields":{"a":"ü"},"missing":true}\n'


def test_matches_behave_as_a_sequence() -> None:
    back = matches(Found(0, [(1, "a", None), (2, "b", {"x": "y"})]))
    assert back[0] == Match(1, "a")
    assert back[-1].fields == {"x": "y"}
    assert back[:1] == [Match(1, "a")]
    assert back != [Match(1, "a")]
    assert back != 3
    assert have_fields(back)
    assert not have_fields(matches(Found(0, [(1, "a", {})])))


def test_rows_that_say_nothing_was_found_are_not_counted() -> None:
    assert count_found(matches(Found(0, [(1, "NO RESULTS FOUND", None)], missing=True))) == 0
    assert count_found(matches(Found(0, [(1, "a", None)]))) == 1
    assert count_found((Match(1, "a"), Match(1, "b", None, missing=True))) == 1
    assert have_fields((Match(1, "a", {"x": "y"}),))


def test_matches_from_anywhere_become_the_same_rows() -> None:
    plain = (Match(1, "a", {"x": "y"}), Match(2, "b", None, missing=True))
    assert [Match(**row) for row in row_values(raw_rows(plain))] == list(plain)
    spooled = matches(Found(0, [(1, "a", {"x": "y"})]))
    assert raw_rows(spooled) == raw_rows(plain[:1])
    assert list(row_values(b"")) == []


@pytest.mark.parametrize("piece", [0, 1, 40, 41, 42, 10_000])
def test_rows_are_the_same_in_pieces_of_any_size(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanwise.workloads.auditscan._spool._PIECE", piece)
    _, body = spool([Found(0, [(n, "x" * n, {"k": "\n"}) for n in range(1, 20)])])
    assert [(row["line"], len(row["text"])) for row in row_values(body)] == [(n, n) for n in range(1, 20)]


SPOOLED = Spooled("a" * 64, 12, "utf-8", System("", "Linux", "KPNIXAUDIT", "0.6"), body=b'{"line":1}\n')


def test_a_packed_file_comes_back() -> None:
    blocks, body = spool([Found(3, [(1, "é", None)]), Found(5, status="timeout", reason="slow")])
    whole = replace(SPOOLED, blocks=blocks, body=body)
    assert unpack(pack_head(whole) + whole.body) == whole
    assert whole.timed_out
    assert not SPOOLED.timed_out


@given(st.integers(0, 400))
def test_a_torn_or_changed_file_is_none(cut: int) -> None:
    data = pack_head(SPOOLED) + SPOOLED.body
    if cut < len(data):
        assert unpack(data[:cut]) is None
        assert unpack(data[:cut] + bytes([data[cut] ^ 1]) + data[cut + 1 :]) in {
            None,
            unpack(data),
        } or cut < data.index(b"\n")


def test_nonsense_is_none() -> None:
    for data in (b"", b"\n", b"[]\n", b"{}\n", b'{"crc32":0,"system":null,"blocks":[]}\n', b"\xff\xfe"):
        assert unpack(data) is None
