"""Data files: what counts as missing, as time, as a number, and the message for everything else."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from tests.workloads.modelsearch.world import columns, month_ends, world, write_config, write_csv

from fanwise.errors import InputError
from fanwise.workloads import modelsearch
from fanwise.workloads.modelsearch.io import read_table


def table_of(folder: Path, text: str, **data: object) -> object:
    (folder / "data.csv").write_text(text, "utf-8")
    groups = [{"name": "g", "items": ["x1"]}]
    return read_table(modelsearch.load_config(write_config(folder, {"data": data}, groups)))


def refusal(folder: Path, text: str, **data: object) -> str:
    with pytest.raises(InputError) as caught:
        table_of(folder, text, **data)
    return str(caught.value)


def test_a_table_has_the_columns_that_the_configuration_names(tmp_path: Path) -> None:
    table = table_of(tmp_path, "date,y,x1,comment\n2001-01-31,1,2.5,text is fine here\n2001-02-28,3,-1e-3,\n")
    assert set(table.columns) == {"y", "x1"}
    assert table.columns["x1"].tolist() == [2.5, -0.001]
    assert table.time == ("2001-01-31", "2001-02-28")
    assert table.months.tolist() == [1, 2]


@pytest.mark.parametrize("cell", ["", "NA", "NaN", "nan", ".", " ", "inf", "-inf"])
def test_a_missing_value_may_be_written_in_many_ways(tmp_path: Path, cell: str) -> None:
    table = table_of(tmp_path, f"date,y,x1\n2001-01-31,1,{cell}\n")
    assert np.isnan(table.columns["x1"][0])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "date,y,x1\n2001-01-31,1,2\n2001-02-28,1,abc\n",
            'data.csv, row 2 (line 3), column "x1": "abc" is not a number',
        ),
        ("date,y,x1\n2001-01-31,1,2\nFebruary,1,2\n", 'row 2 (line 3), column "date": "February" is not an ISO date'),
        ("date,y,x1\n2001-02-28,1,2\n2001-01-31,1,2\n", "row 1 (line 2) has 2001-02-28, row 2 (line 3) has 2001-01-31"),
        ("date,y,x1\n2001-01-31,1,2\n2001-01-31,1,2\n", "time must increase from row to row"),
        ("date;y;x1\n2001-01-31;1;2\n", "data.csv has semicolons between its fields; write it with commas"),
        ('date;"y, %";x1\n2001-01-31;1,5;2\n', "data.csv has semicolons between its fields; write it with commas"),
        ("date\ty\tx1\n2001-01-31\t1\t2\n", "data.csv has tabs between its fields"),
        ("date,y,x1\n2001-01-31,1\n", "data.csv, row 1 (line 2): 2 fields, the header has 3"),
        ("date,y,y\n2001-01-31,1,2\n", "data.csv: the column y is there twice"),
        ("date,y,x2\n2001-01-31,1,2\n", 'search.toml: [search.group 1] "x1:LV": data.csv has no column x1'),
        ("date,z,x1\n2001-01-31,1,2\n", "search.toml: [data] target: data.csv has no column y"),
        ("dates,y,x1\n2001-01-31,1,2\n", "search.toml: [data] time: data.csv has no column date; did you mean dates?"),
        ("date,y,x1\n", "data.csv has no rows"),
        ("", "data.csv is empty; expected a header and rows"),
        ('date,y,x1\n2001-01-31,"1,2\n', "data.csv, row 1 (line 2): 2 fields"),
    ],
)
def test_what_is_no_table_is_refused_with_row_and_column(tmp_path: Path, text: str, says: str) -> None:
    assert says in refusal(tmp_path, text)


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(b"date,y,x1\n2001-01-31,1,\xff\n")
    with pytest.raises(InputError, match=r"data\.csv is not a CSV file in UTF-8"):
        read_table(modelsearch.load_config(write_config(tmp_path, groups=[{"name": "g", "items": ["x1"]}])))


@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"cannot read .*{name}: no such file or directory$"):
        read_table(modelsearch.load_config(write_config(tmp_path, {"data": {"file": name}})))


def test_a_forced_column_that_is_not_there_is_named_by_its_entry(tmp_path: Path) -> None:
    write_csv(tmp_path / "data.csv", month_ends(5), columns(5))
    config = modelsearch.load_config(write_config(tmp_path, {"search": {"forced": ["oil:GR(1)"]}}))
    with pytest.raises(InputError, match=r'\[search\] forced "oil:GR\(1\)": data\.csv has no column oil'):
        read_table(config)


def test_times_may_be_whole_numbers(tmp_path: Path) -> None:
    table = table_of(tmp_path, "date,y,x1\n3,1,2\n5,1,2\n", train=[1, 9])
    assert table.time == (3, 5)
    assert table.months is None
    assert 'column "date": "2001-01-31" is not a whole number' in refusal(
        tmp_path, "date,y,x1\n2001-01-31,1,2\n", train=[1, 9]
    )


def test_a_blank_line_at_the_end_and_a_byte_order_mark_are_no_rows(tmp_path: Path) -> None:
    table = table_of(tmp_path, "\ufeffdate , y,x1\r\n2001-01-31,1,2\r\n\r\n")
    assert len(table.time) == 1


def test_an_alias_stands_for_a_column_with_an_odd_name(tmp_path: Path) -> None:
    text = 'date,y,"Jobless: rate (s.a.), %"\n2001-01-31,1,2\n'
    table = table_of(tmp_path, text, alias={"x1": "Jobless: rate (s.a.), %"})
    assert table.columns["x1"].tolist() == [2.0]
    assert table.headings["x1"] == "Jobless: rate (s.a.), %"


def test_the_hash_is_of_the_data_that_are_used(tmp_path: Path) -> None:
    text = "date,y,x1,other\n2001-01-31,1,2,3\n"
    one = table_of(tmp_path, text).data_hash
    assert table_of(tmp_path, text.replace(",3\n", ",4\n")).data_hash == one
    assert table_of(tmp_path, text.replace(",2,", ",2.0000000001,")).data_hash != one
    assert table_of(tmp_path, text.replace("01-31", "01-30")).data_hash != one


def test_parquet_gives_the_same_table_as_csv(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    config = world(tmp_path)
    table = columns()
    table["x3"][5] = np.nan
    write_csv(tmp_path / "data.csv", month_ends(120), table)
    import datetime as dt

    dates = pyarrow.array([dt.date.fromisoformat(day) for day in month_ends(120)])
    parquet.write_table(pyarrow.table({"date": dates, **table}), tmp_path / "data.parquet")
    write_config(tmp_path, {"data": {"file": "data.parquet"}}, name="other")
    one, two = read_table(config), read_table(modelsearch.load_config(tmp_path / "other.toml"))
    assert one.time == two.time
    assert one.data_hash == two.data_hash


def test_a_column_missing_in_parquet_is_named(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"date": ["2001-01-31"], "y": [1.0]}), tmp_path / "data.parquet")
    path = write_config(tmp_path, {"data": {"file": "data.parquet"}}, [{"name": "g", "items": ["x1"]}])
    with pytest.raises(InputError, match=r"data\.parquet has no column x1"):
        read_table(modelsearch.load_config(path))


def test_rows_of_the_future_must_come_after_those_of_the_past(tmp_path: Path) -> None:
    config = world(tmp_path)
    history = read_table(config)
    write_csv(tmp_path / "next.csv", ["2011-01-31"], {name: column[:1] for name, column in columns().items()})
    both = read_table(config, tmp_path / "next.csv", after=history)
    assert len(both.time) == 121
    write_csv(tmp_path / "late.csv", ["2005-01-31"], {name: column[:1] for name, column in columns().items()})
    with pytest.raises(
        InputError, match=r"the last row of the history has 2010-12-31, row 1 \(line 2\) has 2005-01-31"
    ):
        read_table(config, tmp_path / "late.csv", after=history)


def test_parquet_without_pyarrow_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data.parquet").write_bytes(b"PAR1")
    config = modelsearch.load_config(write_config(tmp_path, {"data": {"file": "data.parquet"}}))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"reading data\.parquet needs pyarrow: pip install pyarrow"):
        read_table(config)


def test_a_null_in_parquet_is_missing(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"date": ["2001-01-31", "2001-02-28"], "y": [1.0, 2.0], "x1": [None, 3]})
    parquet.write_table(table, tmp_path / "data.parquet")
    path = write_config(tmp_path, {"data": {"file": "data.parquet"}}, [{"name": "g", "items": ["x1"]}])
    np.testing.assert_array_equal(read_table(modelsearch.load_config(path)).columns["x1"], [np.nan, 3.0])
