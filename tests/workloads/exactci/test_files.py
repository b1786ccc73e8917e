"""Reading and writing files: counts, text that stays as it is, and outputs that are whole or not there."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise._whole import atomic
from fanwise.errors import InputError
from fanwise.workloads.exactci import Status
from fanwise.workloads.exactci import _delimited as delimited
from fanwise.workloads.exactci._counts import count_of_text
from fanwise.workloads.exactci._delimited import PlainBlock, QuotedBlock, TextSource
from fanwise.workloads.exactci._matrix import MatrixSource, tables_of
from fanwise.workloads.exactci._parquet import ParquetSource
from fanwise.workloads.exactci._scratch import Scratch
from fanwise.workloads.exactci.io import Wanted, open_source, open_target, read_tables

ABCD = Wanted(("a", "b", "c", "d"))


def source_of(text: str | bytes, delimiter: str = ",") -> TextSource:
    return TextSource.open(io.BytesIO(text.encode() if isinstance(text, str) else text), "t.csv", delimiter)


def records_of(source: TextSource) -> list[str]:
    return [record for block in source.blocks() for record in block.records()]


words = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00", exclude_categories=["Cs"]), max_size=8)
cells = st.one_of(st.integers(0, 99999).map(str), words)


@given(
    rows=st.lists(st.lists(cells, min_size=5, max_size=5), max_size=30),
    end=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
)
def test_any_csv_is_read_as_the_csv_module_reads_it(rows: list[list[str]], end: str, last: bool) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator=end).writerows([["name", "a", "b", "c", "d"], *rows])
    content = text.getvalue() if last or not rows else text.getvalue().removesuffix(end)
    before, delimited.BLOCK_BYTES = delimited.BLOCK_BYTES, 40
    try:
        source = source_of(content)
        fields = [row for block in source.blocks() for row in block.fields()]
        counts = [block.counts([1, 2, 3, 4]) for block in source.blocks()]
        records = records_of(source)
    finally:
        delimited.BLOCK_BYTES = before
    assert fields == rows
    assert [next(csv.reader([record])) for record in records] == rows
    values, status = (np.concatenate(parts).tolist() for parts in zip(*counts))
    assert values == [[count_of_text(cell)[0] for cell in row[1:]] for row in rows]
    assert status == [[count_of_text(cell)[1] for cell in row[1:]] for row in rows]


def test_text_stays_as_it_is() -> None:
    lines = ["007, 1 ,2.0,3,4", '"a, ""b""",1,2,3,4', "é“x”,1,2,3,4", "\x1f,0001,2,3,4"]
    assert records_of(source_of("\ufeffn,a,b,c,d\r\n" + "\r\n".join(lines))) == lines


def test_a_field_may_hold_line_ends() -> None:
    source = source_of('n,a,b,c,d\n"two\nlines",1,2,3,4\nx,5,6,7,8\n')
    (block,) = source.blocks()
    assert block.fields() == [["two\nlines", "1", "2", "3", "4"], ["x", "5", "6", "7", "8"]]
    assert [block.line(0), block.line(1)] == [2, 4]
    assert block.cell(1, 2) == "6"


def test_blank_lines_are_not_rows(place: Scratch) -> None:
    tables = read_tables(source_of("a,b,c,d\n\n1,2,3,4\n\n\n5,6,7,8\n\n"), ABCD, place)
    assert tables.counts[:].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_blocks_without_quotes_are_read_by_columns() -> None:
    (plain,) = source_of("a,b,c,d\n1,2,3,4\n").blocks()
    (quoted,) = source_of('a,b,c,d\n"1",2,3,4\n').blocks()
    assert isinstance(plain, PlainBlock)
    assert isinstance(quoted, QuotedBlock)
    assert plain.counts([0, 3])[0].tolist() == quoted.counts([0, 3])[0].tolist() == [[1, 4]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no header"),
        (b"\n1,2,3,4\n", "no header"),
        (b"a,b,c,d\n1,2,3\n", "line 2: 3 fields, expected 4"),
        (b"a,b,c,d\n1,2,3,4\n1,2,3,4,5\n", "line 3: 5 fields, expected 4"),
        (b"a,b,c,d\n1,2,3,4\n1,2,3\n1,2,3,4,5\n", "line 3: 3 fields, expected 4"),
        (b'a,b,c,d\n1,2,3,4\n"1,2,3,4\n', "line 3: 1 fields, expected 4"),
        (b"a,b,c,d\n1,2,3,4\n1,2,\xff,4\n", "line 3: not UTF-8"),
        (b"a,b,c,\xffd\n1,2,3,4\n", "line 1: not UTF-8"),
        (b"a,b,c,d\n1,2\r3,3,4\n", "line 2: a carriage return alone ends no line"),
        (b'a,b,c,"' + b"d" * 200_000 + b'"\n', "no column d; there are a, b, c, d{40}… [(]"),
        (b"a,b,c," + b",".join(b"x%d" % i for i in range(50)) + b"\n", "x36 and 13 more [(]"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_its_line(content: bytes, words: str, place: Scratch) -> None:
    with pytest.raises(InputError, match=words):
        read_tables(source_of(content), ABCD, place)


def test_columns_are_found_by_exact_name_and_then_in_any_case() -> None:
    assert ABCD.places(source_of("A,a,b,C,D\n")) == [1, 2, 3, 4]
    with pytest.raises(
        InputError, match=r"no column d; there are a, b, c \(name the four with --columns, or use --events\)"
    ):
        ABCD.places(source_of("a,b,c\n"))
    with pytest.raises(InputError, match="2 columns are called a"):
        ABCD.places(source_of("a,a,b,c,d\n"))


def test_events_and_totals_become_tables(place: Scratch) -> None:
    tables = read_tables(
        source_of("e,n,f,m\n3,10,1,4\n12,10,3,4\n1,10,-1,4\n1,10,5,4\n"),
        Wanted(("e", "n", "f", "m"), events=True),
        place,
    )
    assert tables.counts[:].tolist() == [[3, 7, 1, 3], [0] * 4, [0] * 4, [0] * 4]
    assert tables.status.tolist() == [0, Status.NEGATIVE, Status.NEGATIVE, Status.NEGATIVE]
    assert [(bad.line, bad.column, bad.value) for bad in tables.bad_cells] == [
        (3, "e, n", "12, 10"),
        (4, "f", "-1"),
        (5, "f, m", "5, 4"),
    ]


def test_only_the_first_hundred_bad_cells_are_kept(place: Scratch) -> None:
    tables = read_tables(source_of("a,b,c,d\n" + "x,1,2,3\n" * 250), ABCD, place)
    assert len(tables.bad_cells) == 100
    assert tables.bad.sum() == 250


def test_standard_input_is_kept_to_be_read_twice() -> None:
    with open_source("-", io.BytesIO(b"a,b,c,d\n1,2,3,4\n")) as source:
        assert len(records_of(source)) == len(records_of(source)) == 1


def parquet_of(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_counts_may_be_of_many_types(tmp_path: Path, place: Scratch) -> None:
    path = parquet_of(
        tmp_path / "t.parquet",
        a=pa.array([1, None, 3], pa.int32()),
        b=[1.0, 2.5, float("nan")],
        c=["1", "x", None],
        d=[1, 2, 3],
    )
    with open_source(str(path)) as source:
        assert isinstance(source, ParquetSource)
        tables = read_tables(source, ABCD, place)
    assert tables.counts[:1].tolist()[0] == [1, 1, 1, 1]
    assert tables.status.tolist() == [0, Status.MISSING, Status.MISSING]
    assert [(bad.line, bad.column, bad.value) for bad in tables.bad_cells] == [(2, "a", ""), (3, "b", "nan")]


def test_a_file_that_only_says_it_is_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_text("a,b,c,d\n")
    with pytest.raises(InputError, match="not a Parquet file"), open_source(str(tmp_path / "t.parquet")):
        pass


def test_a_date_that_no_calendar_has_is_bad_input(tmp_path: Path) -> None:
    path = parquet_of(tmp_path / "t.parquet", day=pa.array([1, 10**8], pa.date32()))
    with open_source(str(path)) as source, pytest.raises(InputError, match=r"column of date32\[day\] holds what is no"):
        next(iter(source.blocks())).fields()


def test_a_damaged_parquet_file_is_bad_input_wherever_the_damage_is(tmp_path: Path) -> None:
    counts = {column: [(i * 7 + 3) % 11 for i in range(30)] for column in "abcd"}
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"name": [f"é {i}" for i in range(30)], **counts}), path, use_dictionary=False)
    whole, refusals = path.read_bytes(), list[str]()
    for at in range(0, len(whole), 16):
        path.write_bytes(whole[:at] + bytes(byte ^ 0xFF for byte in whole[at : at + 4]) + whole[at + 4 :])
        try:
            with open_source(str(path)) as source:
                assert len([row for block in source.blocks() for row in block.fields()]) == 30
        except InputError as error:
            refusals.append(str(error))
    assert len(refusals) > 30
    assert all(said.startswith(f"cannot read {path}: ") and "\n" not in said for said in refusals)


ADDED = {
    "method": ["wald"] * 4,
    "alpha": np.broadcast_to(np.float64(0.05), 4),
    "lower": np.array([0.1, np.nan, 0.0, np.inf]),
}


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_numbers_are_written_shortest_and_nan_as_nothing(suffix: str, delimiter: str) -> None:
    source = source_of('n,a,b,c,d\n"x, y",1,2,3,4\n007,5,6,7,8\n')
    file = io.BytesIO()
    target = open_target(file, suffix, [*source.columns, *ADDED], source)
    for block in source.blocks():
        target.write(block, source.columns, ADDED, 2)
    target.close()
    rows = list(csv.reader(io.StringIO(file.getvalue().decode()), delimiter=delimiter))
    assert rows[0] == ["n", "a", "b", "c", "d", "method", "alpha", "lower"]
    assert [row[0] for row in rows[1:]] == ["x, y", "x, y", "007", "007"]
    assert [row[7] for row in rows[1:]] == ["0.1", "", "0.0", "inf"]
    assert rows[1][5:7] == ["wald", "0.05"]
    assert b"\r" not in file.getvalue()


def test_parquet_keeps_types_and_writes_nulls(tmp_path: Path) -> None:
    path = parquet_of(tmp_path / "t.parquet", name=["x", None], n=pa.array([7, 8], pa.int16()))
    with open_source(str(path)) as source, atomic(tmp_path / "o.parquet") as file:
        target = open_target(file, ".parquet", [], source)
        for block in source.blocks():
            target.write(block, source.columns, ADDED, 2)
        target.close()
    table = pq.read_table(tmp_path / "o.parquet")
    assert table.schema.field("n").type == pa.int16()
    assert table["name"].to_pylist() == ["x", "x", None, None]
    assert table["lower"].to_pylist() == [0.1, None, 0.0, float("inf")]
    assert table["alpha"].to_pylist() == [0.05] * 4


@pytest.mark.parametrize("content", ["n,a,b,c,d\n", 'n,a,b,c,d\n"x, y",1,2,3,4\n'])
def test_text_becomes_parquet_as_text(tmp_path: Path, content: str) -> None:
    source, file = source_of(content), io.BytesIO()
    target = open_target(file, ".parquet", [], source)
    for block in source.blocks():
        target.write(block, source.columns, {"method": ["wald"] * len(block), "lower": np.ones(len(block))}, 1)
    target.close()
    table = pq.read_table(io.BytesIO(file.getvalue()))
    assert table.schema.names == ["n", "a", "b", "c", "d", "method", "lower"]
    assert table.schema.field("n").type == pa.string()
    assert table.num_rows == content.count("\n") - 1


def test_an_empty_parquet_file_has_one_empty_block(tmp_path: Path, place: Scratch) -> None:
    path = parquet_of(tmp_path / "t.parquet", **{name: pa.array([], pa.int64()) for name in "abcd"})
    with open_source(str(path)) as source:
        (block,) = source.blocks()
        assert len(block) == 0
        assert read_tables(source, ABCD, place).counts[:].shape == (0, 4)


def test_a_matrix_of_counts_becomes_tables(place: Scratch) -> None:
    """Reporting odds ratios: each cell against the rest of its row, its column and everything else."""
    matrix = np.array([[5, 1], [2, 10], [3, 4]])
    assert tables_of(matrix)[0].tolist() == [5, 5, 1, 14]
    assert (tables_of(matrix).sum(axis=1) == matrix.sum()).all()
    source = MatrixSource.read(source_of("event,drug A,drug B\nrash,5,1\nnausea,2,10\nfever,3,4\n"))
    (block,) = source.blocks()
    assert block.fields()[0] == ["rash", "drug A", "5", "5", "1", "14"]
    assert block.fields()[3][:2] == ["rash", "drug B"]
    assert (block.cell(0, 1), block.cell(0, 2), block.line(0), len(block)) == ("drug A", "5", 1, 6)
    np.testing.assert_array_equal(read_tables(source, ABCD, place).counts[:], tables_of(matrix))


@pytest.mark.parametrize(
    ("content", "words"),
    [("event,x\nrash,-1\n", r"line 2, column 'x': '-1' is not a count"), ("event\nrash\n", "no counts")],
)
def test_a_matrix_with_something_else_in_it_is_refused(content: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        MatrixSource.read(source_of(content))
