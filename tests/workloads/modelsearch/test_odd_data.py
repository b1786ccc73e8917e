"""Data files of every kind: a cell is the number it says, missing, or named; nothing but an input error is raised."""

from __future__ import annotations

import datetime as dt
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.workloads.modelsearch.world import columns, month_ends, world, write_config, write_csv

from fanwise.errors import InputError
from fanwise.workloads import modelsearch
from fanwise.workloads.modelsearch import Config, Space
from fanwise.workloads.modelsearch.io import read_table

ITEMS = [{"name": "g", "items": ["x1"]}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def config_of(folder: Path, **data: Any) -> Config:
    return modelsearch.load_config(write_config(folder, {"data": data}, ITEMS))


def one_cell(folder: Path, cell: str, **data: Any) -> float | str:
    """The value of a cell, or what the refusal says."""
    (folder / "data.csv").write_text(f"date,y,x1\n2001-01-31,1,{cell}\n", "utf-8")
    try:
        return float(read_table(config_of(folder, **data)).columns["x1"][0])
    except InputError as error:
        return str(error)


@given(st.floats())
@example(5e-324)
@example(-0.0)
def test_a_number_as_python_writes_it_reads_back_bit_for_bit(folder: Path, value: float) -> None:
    read = one_cell(folder, repr(value))
    if math.isfinite(value) and abs(value) > 1e100:
        assert read == f'data.csv, row 1 (line 2), column "x1": {value!r} is beyond ±1e+100'
        return
    assert isinstance(read, float)
    assert math.isnan(read) or (math.isfinite(value) and math.copysign(1, read) == math.copysign(1, value))
    assert math.isnan(read) == (not math.isfinite(value))
    assert math.isnan(read) or read == value


@pytest.mark.parametrize(
    "cell", ["1_000", "１２", "0x10", "1e", "--1", "1.2.3", "12 3", "true", "None", "½", "1e5000x"]
)
def test_what_only_a_programming_language_reads_as_a_number_is_text(folder: Path, cell: str) -> None:
    assert f'row 1 (line 2), column "x1": "{cell}" is not a number' in str(one_cell(folder, cell))


@pytest.mark.parametrize(
    "cell", ["2001-01-31junk", "2001-01-310", "2001-13-01", "2001-02-29", "31.01.2001", "2001", ""]
)
def test_a_time_that_is_no_date_is_named(folder: Path, cell: str) -> None:
    (folder / "data.csv").write_text(f"date,y,x1\n{cell},1,2\n", "utf-8")
    with pytest.raises(InputError, match="is not an ISO date such as 2004-03-31"):
        read_table(config_of(folder))


@pytest.mark.parametrize("cell", ["2001-01-31", " 2001-01-31 ", "2001-01-31 00:00:00", "2001-01-31T12:30:00"])
def test_a_date_may_come_with_a_time_of_day(folder: Path, cell: str) -> None:
    (folder / "data.csv").write_text(f"date,y,x1\n{cell},1,2\n", "utf-8")
    assert read_table(config_of(folder)).time == ("2001-01-31",)


@pytest.mark.parametrize("cell", ["1_0", "٣", "1.0", "1e3", "9" * 30, "", "x"])
def test_a_time_that_is_no_whole_number_is_named(folder: Path, cell: str) -> None:
    (folder / "data.csv").write_text(f"date,y,x1\n{cell},1,2\n", "utf-8")
    with pytest.raises(InputError, match=r'row 1 \(line 2\), column "date": .* is not a whole number'):
        read_table(config_of(folder, train=[1, 9]))


def parquet_of(folder: Path, **table: Any) -> Config:
    import pyarrow as pa
    from pyarrow import parquet

    with (folder / "data.PARQUET").open("wb") as file:
        parquet.write_table(pa.table(table), file)
    return config_of(folder, file="data.PARQUET")


def test_a_parquet_file_that_is_none_is_named(folder: Path) -> None:
    (folder / "text.parquet").write_text("date,y,x1\n")
    with pytest.raises(InputError, match=r"cannot read .*text\.parquet: not a Parquet file"):
        read_table(config_of(folder, file="text.parquet"))


def test_a_damaged_parquet_file_is_bad_input_wherever_the_damage_is(folder: Path) -> None:
    days = [dt.date(2001, 1, day) for day in range(1, 21)]
    config = parquet_of(folder, date=days, y=[float(i) for i in range(20)], x1=[str(i) for i in range(20)])
    path = folder / "data.PARQUET"
    whole, refused = path.read_bytes(), 0
    for at in range(0, len(whole), 16):
        path.write_bytes(whole[:at] + bytes(byte ^ 0xFF for byte in whole[at : at + 4]) + whole[at + 4 :])
        try:
            read_table(config)
        except InputError:
            refused += 1
    assert refused > 30


def test_a_date_that_no_calendar_has_is_bad_input(folder: Path) -> None:
    import pyarrow as pa

    config = parquet_of(folder, date=pa.array([1, 10**8], pa.date32()), y=[1.0, 2.0], x1=[1.0, 2.0])
    with pytest.raises(InputError, match=r"a damaged one \(date value out of range"):
        read_table(config)


def test_a_parquet_file_may_lie_in_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"d\xe4ta")
    odd.mkdir()
    config = parquet_of(odd, date=[dt.date(2001, 1, day) for day in (1, 2)], y=[1.0, 2.0], x1=[1.0, 2.0])
    assert len(read_table(config).time) == 2


@pytest.mark.parametrize("cells", [[[1.0], [2.0]], [{"a": 1}, {"a": 2}], ["1", "x"], [dt.date(2001, 1, 1)] * 2])
def test_a_parquet_column_without_numbers_is_named(folder: Path, cells: list[Any]) -> None:
    days = [dt.datetime(2001, 1, 31), dt.datetime(2001, 2, 28)]
    with pytest.raises(InputError, match=r'column "x1": .* is not a number'):
        read_table(parquet_of(folder, date=days, y=[1.0, 2.0], x1=cells))


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.float32, np.bool_])
def test_a_parquet_column_of_any_number_type_is_read(folder: Path, kind: type) -> None:
    days = [dt.date(2001, 1, 31), dt.date(2001, 2, 28)]
    table = read_table(parquet_of(folder, date=days, y=[1.0, 2.0], x1=np.array([0, 1], kind)))
    assert table.columns["x1"].tolist() == [0.0, 1.0]
    assert table.time == ("2001-01-31", "2001-02-28")


CELLS = st.sampled_from(
    ["", "NA", ".", "x", "1e308", "-1e308", "1e-320", "0", "inf", '"1,5"', "2001-01-31", "1 ", "é", '"', "\x00", "1\n2"]
)


@settings(max_examples=60)
@given(
    cells=st.dictionaries(st.tuples(st.integers(0, 119), st.sampled_from(["date", "x1", "x2", "y"])), CELLS, max_size=6)
)
def test_a_damaged_table_is_searched_without_the_damage_or_refused(
    folder: Path, cells: dict[tuple[int, str], str]
) -> None:
    """Whatever stands in some cells: rows with missing values go, everything else is named."""
    table: dict[str, list[Any]] = {"date": month_ends(120), **{n: c.tolist() for n, c in columns().items()}}
    for (row, name), cell in cells.items():
        table[name][row] = cell
    lines = [",".join(table), *(",".join(map(str, row)) for row in zip(*table.values(), strict=True))]
    (folder / "data.csv").write_text("\n".join(lines) + "\n", "utf-8", newline="")
    config = modelsearch.load_config(write_config(folder))
    try:
        frame = modelsearch.prepare(config)
    except InputError as error:
        named = str(error)
    else:
        named = ""
    if named:
        assert "data.csv" in named or "search.toml" in named
        return
    assert np.isfinite(frame.y).all()
    assert np.isfinite(frame.X).all()
    assert list(frame.time) == sorted(set(frame.time))
    assert Space(config, frame).count() > 0


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"train": ["hello", "world"]}, "expected ISO dates such as 2004-03-31, not 'hello' and 'world'"),
        ({"train": ["2001-1-31", "2008-12-31"]}, "expected ISO dates"),
        ({"train": [1, 2]}, '"2001-01-31" is not a whole number; train is given in whole numbers'),
        ({"train": ["3001-01-31", "3008-12-31"]}, "[data] train: 0 complete rows are left"),
        ({"train": ["2001-01-31", "2001-03-31"]}, "2 complete rows are left for up to k = 4 columns"),
        ({"file": "."}, "is a directory"),
        ({"time": "y"}, 'column "y": "1.0" is not an ISO date'),
        ({"target": "date"}, 'column "date": "2001-01-31" is not a number'),
        ({"target": "x1"}, "x1:LV equals the item x1:LV: an identity, not a driver"),
        ({"alias": {"x1": "y"}}, "y:LV equals the item x1:LV: an identity"),
        ({"target": "y:DF(500)"}, "0 complete rows are left"),
        ({"target": "y:LV@999999"}, "0 complete rows are left"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_data_that_cannot_serve_the_search_are_refused_with_the_reason(
    tmp_path: Path, data: dict[str, Any], says: str
) -> None:
    config = world(tmp_path, {"data": data})
    with pytest.raises(InputError) as caught:
        Space(config, modelsearch.prepare(config))
    assert says in str(caught.value)


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e6, 1e12])
def test_units_of_measurement_change_no_verdict(tmp_path: Path, scale: float) -> None:
    """A variable in other units: the same filter, the same statistics, a coefficient in the other unit."""
    plain, table = columns(), columns()
    table["x1"] = table["x1"] * scale
    found = []
    for name, each in (("plain", plain), ("scaled", table)):
        (tmp_path / name).mkdir()
        config = world(tmp_path / name, table=each)
        frame = modelsearch.prepare(config)
        space = Space(config, frame)
        found.append(modelsearch.evaluate(frame, space, config, range(space.count()), full=True))
    one, two = found
    assert one["failed_at"].tolist() == two["failed_at"].tolist()
    assert one["terms"].tolist() == two["terms"].tolist()
    for name in ("r2", "bic", "max_p", "max_vif", "dw", "bg_p", "bp_p", "white_p", "adf_stat", "pp_stat", "wf_rmse"):
        np.testing.assert_allclose(one[name], two[name], rtol=1e-7, atol=1e-9, err_msg=name)


def test_a_write_to_the_prepared_columns_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "data.csv", month_ends(120), columns())
    frame = modelsearch.prepare(modelsearch.load_config(write_config(tmp_path)))
    for array in (frame.X, frame.y):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0
