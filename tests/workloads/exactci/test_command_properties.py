"""Any table of text through the command: what is a count is computed, what is not is named, nothing else changes."""

from __future__ import annotations

import csv
import io
import math
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from fanwise.cli import main
from fanwise.workloads.exactci import Status, interval
from fanwise.workloads.exactci._counts import count_of_text

counts = st.one_of(st.integers(0, 40).map(str), st.sampled_from(["0", " 7 ", "3.0", "1e1", "007", "+4"]))
rubbish = st.sampled_from(["", "NA", "x", "-1", "2.5", "inf", "12,5", "1e12", '"', "ä\nö", "1 2"])
labels = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=6)
rows = st.tuples(labels, *[st.one_of(counts, counts, counts, rubbish)] * 4)
methods = st.lists(st.sampled_from(["conditional", "midp", "blaker", "minlike", "wald"]), min_size=1, unique=True)


@contextmanager
def folder() -> Iterator[Path]:
    """A folder to be in, with a cache of its own."""
    before, cache = os.getcwd(), os.environ.get("FANWISE_CACHE_DIR")
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        os.environ["FANWISE_CACHE_DIR"] = f"{name}/cache"
        try:
            yield Path(name)
        finally:
            os.chdir(before)
            os.environ.pop("FANWISE_CACHE_DIR")
            if cache is not None:
                os.environ["FANWISE_CACHE_DIR"] = cache


def ended(*words: str) -> tuple[int, str]:
    with redirect_stderr(io.StringIO()) as err:
        return main(["ci", *words]), err.getvalue()


def text_of(table: list[tuple[str, ...]], delimiter: str = ",") -> str:
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows([("label", *"abcd"), *table])
    return file.getvalue()


def read(name: str, delimiter: str = ",") -> list[dict[str, str]]:
    with open(name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


@settings(max_examples=60)
@given(table=st.lists(rows, max_size=12), methods=methods, tabs=st.booleans())
def test_each_row_keeps_its_text_and_gets_its_numbers_or_its_status(
    table: list[tuple[str, ...]], methods: list[str], tabs: bool
) -> None:
    suffix, delimiter = (".tsv", "\t") if tabs else (".csv", ",")
    with folder():
        Path(f"t{suffix}").write_text(text_of(table, delimiter), "utf-8", newline="")
        code, err = ended(f"t{suffix}", "--method", ",".join(methods), "-o", f"o{suffix}", "--no-cache")
        found = read(f"o{suffix}", delimiter)
    bad = 0
    assert len(found) == len(table) * len(methods)
    for i, row in enumerate(table):
        status = next((s for _, s in map(count_of_text, row[1:]) if s), Status.OK)
        bad += status is not Status.OK
        for j, method in enumerate(methods):
            mine = found[i * len(methods) + j]
            assert tuple(mine[name] for name in ("label", *"abcd")) == row
            assert mine["method"] == method
            if status is not Status.OK:
                assert mine["status"] == status.name.lower()
                assert mine["lower"] == mine["p_value"] == ""
                continue
            wanted = interval(*(count_of_text(cell)[0] for cell in row[1:]), method=method)
            assert mine["status"] == wanted.status.name.lower()
            for name in ("lower", "upper", "p_value", "estimate", "odds_ratio"):
                value = getattr(wanted, name)
                assert mine[name] == ("" if math.isnan(value) else repr(value))
    assert code == (3 if bad else 0)
    assert err.count("is not a count") == min(bad, 5)


@settings(max_examples=25)
@given(table=st.lists(rows, min_size=1, max_size=8))
def test_strict_writes_all_or_nothing(table: list[tuple[str, ...]]) -> None:
    clean = all(not count_of_text(cell)[1] for row in table for cell in row[1:])
    with folder():
        Path("t.csv").write_text(text_of(table), "utf-8", newline="")
        code, _ = ended("t.csv", "--strict", "-o", "o.csv", "--no-cache")
        assert (code == 0) == clean == Path("o.csv").exists()
        assert code in {0, 2}


@settings(max_examples=25)
@given(table=st.lists(st.tuples(labels, counts, counts, counts, counts), min_size=1, max_size=8))
def test_a_file_and_standard_input_are_the_same(table: list[tuple[str, ...]]) -> None:
    text = text_of(table)
    keep = sys.stdin, sys.stdout
    with folder():
        Path("t.csv").write_text(text, "utf-8", newline="")
        ended("t.csv", "-o", "o.csv", "--no-cache")
        written = io.BytesIO()
        try:
            sys.stdin = SimpleNamespace(buffer=io.BytesIO(text.encode()))
            sys.stdout = SimpleNamespace(buffer=written, flush=lambda: None)
            assert ended("-", "--no-cache")[0] == 0
        finally:
            sys.stdin, sys.stdout = keep
        assert written.getvalue() == Path("o.csv").read_bytes()


@settings(max_examples=25)
@given(
    table=st.lists(st.tuples(*[st.integers(0, 30)] * 4), min_size=1, max_size=8),
    order=st.permutations(["label", "x1", "n1", "x2", "n2"]),
)
def test_events_and_totals_are_the_same_tables(table: list[tuple[int, ...]], order: list[str]) -> None:
    with folder():
        Path("t.csv").write_text(text_of([("", *map(str, row)) for row in table]))
        with open("e.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, order)
            writer.writeheader()
            writer.writerows({"label": "", "x1": a, "n1": a + b, "x2": c, "n2": c + d} for a, b, c, d in table)
        ended("t.csv", "-o", "o.csv", "--no-cache")
        ended("e.csv", "--events", "x1,n1,x2,n2", "-o", "p.csv", "--no-cache")
        names = ("odds_ratio", "estimate", "lower", "upper", "p_value", "status")
        assert [[row[n] for n in names] for row in read("o.csv")] == [[row[n] for n in names] for row in read("p.csv")]
