"""Columns as other programs write them: each value is read as what it says, or named; none is lost in silence."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fanwise.errors import InputError, UsageError
from fanwise.workloads.envelope import Grid, read_grid
from fanwise.workloads.envelope._ids import order_of, read_ids, twice
from fanwise.workloads.envelope._labels import encode
from fanwise.workloads.envelope.io import frames_to_grid

WIDE = "cell,country,WHEA_H,WHEA_P\n"
PLAIN = {
    "cell": pa.array([1, 2]),
    "country": pa.array(["A", "B"]),
    "WHEA_H": pa.array([1.0, 2.0]),
    "WHEA_P": pa.array([3.0, 4.0]),
}
HERE = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def csv_grid(folder: Path, text: str | bytes, name: str = "g.csv", **options: Any) -> Grid:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_grid(folder / name, **options)


def parquet_grid(folder: Path, **columns: Any) -> Grid:
    pq.write_table(pa.table(PLAIN | columns), folder / "g.parquet")
    return read_grid(folder / "g.parquet")


def production(grid: Grid) -> list[float | None]:
    return [None if math.isnan(value) else value for value in grid.columns["WHEA"][1].tolist()]


class TestNumbersInText:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("+5", 5.0), (" 5 ", 5.0), ("5.", 5.0), (".5", 0.5), ("5e2", 500.0), ("5E+2", 500.0), ("-0", 0.0),
            ("", None), ("   ", None), (" NA ", None), ("NaN", None), ("nan", None), ('""', None), ('"NA"', None),
            ("inf", math.inf), ("-Infinity", -math.inf), ("1e400", math.inf), ("1e-400", 0.0),
            ("0.1", 0.1), ("123456789012345678", 123456789012345678.0),
        ],
    )  # fmt: skip
    def test_it_is_read_as_python_reads_it(self, tmp_path: Path, text: str, value: float | None) -> None:
        assert production(csv_grid(tmp_path, f"{WIDE}1,A,1,{text}\n2,A,1,7\n")) == [value, 7.0]

    @pytest.mark.parametrize(
        "text", ["0x10", "1_0", "٣", "1d5", "12;5", "null", "5 5", "--5", "1e", "5€", "true", "++5"]
    )
    def test_what_is_no_number_is_named_with_its_row(self, tmp_path: Path, text: str) -> None:
        message = r"g\.csv row 2, column WHEA_P: .* is not a number with a decimal point"
        with pytest.raises(InputError, match=message):
            csv_grid(tmp_path, f"{WIDE}1,A,1,2\n2,A,1,{text}\n")

    @pytest.mark.parametrize("text", ["0x10", "1_0", "٣", "null", "++5", "12,5"])
    def test_the_same_holds_in_parquet(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(InputError, match=r"g\.parquet.* column WHEA_P.* is not a number with a decimal point"):
            parquet_grid(tmp_path, WHEA_P=pa.array(["2", text]))

    @HERE
    @given(st.lists(st.floats(min_value=0, allow_infinity=False) | st.none(), min_size=1, max_size=8))
    def test_repr_and_text_columns_and_floats_are_one_grid(self, tmp_path: Path, values: list[float | None]) -> None:
        ids = range(len(values))
        rows = "".join(f"{i},A,1,{'' if v is None else repr(v)}\n" for i, v in zip(ids, values, strict=True))
        from_csv = csv_grid(tmp_path, WIDE + rows)
        texts = pa.array([None if v is None else f" {v!r} " for v in values], pa.string())
        columns = {
            "cell": pa.array(ids),
            "country": pa.array(["A"] * len(values)),
            "WHEA_H": pa.array([1.0] * len(values)),
        }
        assert parquet_grid(tmp_path, **columns, WHEA_P=texts).digest("WHEA") == from_csv.digest("WHEA")
        floats = pa.array(values, pa.float64())
        assert parquet_grid(tmp_path, **columns, WHEA_P=floats).digest("WHEA") == from_csv.digest("WHEA")


class TestTypesInParquet:
    @pytest.mark.parametrize(
        ("column", "want"),
        [
            (pa.array([2**53 + 1, 4]), [2.0**53, 4.0]),
            (pa.array([2**64 - 1, 4], pa.uint64()), [2.0**64, 4.0]),
            (pa.array([3, None], pa.int8()), [3.0, None]),
            (pa.array(np.array([3, 4], np.float16)), [3.0, 4.0]),
            (pa.array([0.1, 4], pa.float32()), [float(np.float32(0.1)), 4.0]),
            (pa.array([decimal.Decimal("3.10"), None]), [3.1, None]),
            (pa.array(["3", "NA"]).dictionary_encode(), [3.0, None]),
            (pa.array([3.0, None]).dictionary_encode(), [3.0, None]),
            (pa.array([" +3", "4 "], pa.large_string()), [3.0, 4.0]),
            (pa.nulls(2), [None, None]),
        ],
        ids=lambda value: str(getattr(value, "type", "")),
    )
    def test_numbers_of_every_type_are_float64(self, tmp_path: Path, column: Any, want: list[float | None]) -> None:
        assert production(parquet_grid(tmp_path, WHEA_P=column)) == want

    @pytest.mark.parametrize(
        "column",
        [
            pa.array([dt.date(2020, 1, 1)] * 2),
            pa.array([dt.datetime(2020, 1, 1)] * 2),
            pa.array([dt.timedelta(1)] * 2),
            pa.array([True, False]),
            pa.array([{"a": 1}, {"a": 2}]),
            pa.array([[1.0], [2.0]]),
        ],
        ids=lambda column: str(column.type),
    )
    def test_what_holds_no_numbers_is_named_with_its_type(self, tmp_path: Path, column: Any) -> None:
        with pytest.raises(InputError, match=r"g\.parquet, column WHEA_P: .* is not a number"):
            parquet_grid(tmp_path, WHEA_P=column)

    @pytest.mark.parametrize(
        ("column", "names"),
        [
            (pa.array([840, 124]), ("124", "840")),
            (pa.array([b"A", b"B"]), ("A", "B")),
            (pa.array(["B", "A"], pa.large_string()), ("A", "B")),
            (pa.array(["B", "A"]).dictionary_encode(), ("A", "B")),
            (pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["A", "A"])), ("A",)),
            (pa.array(["A", None]), ("A",)),
            (pa.nulls(2), ()),
        ],
        ids=lambda value: str(getattr(value, "type", "")),
    )
    def test_names_of_every_type_are_text(self, tmp_path: Path, column: Any, names: tuple[str, ...]) -> None:
        assert parquet_grid(tmp_path, country=column).countries == names

    @pytest.mark.parametrize("column", [pa.array([["A"], ["B"]]), pa.array([b"\xff", b"B"])], ids=["list", "bytes"])
    def test_names_that_are_no_text_are_refused(self, tmp_path: Path, column: Any) -> None:
        with pytest.raises(InputError, match="expected text"):
            parquet_grid(tmp_path, country=column)

    def test_countries_by_number_are_those_of_the_csv(self, tmp_path: Path) -> None:
        text = csv_grid(tmp_path, f"{WIDE}1,840,1.0,3.0\n2,124,2.0,4.0\n")
        assert parquet_grid(tmp_path, country=pa.array([840, 124])).digest("WHEA") == text.digest("WHEA")

    @pytest.mark.parametrize(
        ("column", "want"),
        [
            (pa.array([2, 1], pa.uint8()), [1, 2]),
            (pa.array([2.0, 1.0]), [1, 2]),
            (pa.array(["b", "a"]).dictionary_encode(), ["a", "b"]),
            (pa.array([6, 5]).dictionary_encode(), [5, 6]),
            (pa.array([2**64 - 1, 2**63], pa.uint64()), [str(2**63), str(2**64 - 1)]),
            (pa.array([decimal.Decimal(10**25), decimal.Decimal(5)]), ["5", str(10**25)]),
            (pa.array([1.5, 0.5]), ["0.5", "1.5"]),
        ],
        ids=lambda value: str(getattr(value, "type", "")),
    )
    def test_ids_of_every_type_are_sorted(self, tmp_path: Path, column: Any, want: list[Any]) -> None:
        assert parquet_grid(tmp_path, cell=column).cell.tolist() == want

    @pytest.mark.parametrize(
        "column", [pa.array([1, None]), pa.array([1.5, None]), pa.array(["a", " "]), pa.array(["a", None])]
    )
    def test_blank_ids_are_named(self, tmp_path: Path, column: Any) -> None:
        with pytest.raises(InputError, match=r"g\.parquet row 2, column cell: the cell id is blank"):
            parquet_grid(tmp_path, cell=column)

    def test_lists_are_no_ids(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"column cell: list<.*expected ids"):
            parquet_grid(tmp_path, cell=pa.array([[1], [2]]))

    def test_two_columns_of_one_name_are_refused(self, tmp_path: Path) -> None:
        columns = [*PLAIN.values(), PLAIN["WHEA_H"]]
        pq.write_table(pa.Table.from_arrays(columns, names=[*PLAIN, "WHEA_H"]), tmp_path / "g.parquet")
        with pytest.raises(InputError, match="'WHEA_H' and 'WHEA_H'"):
            read_grid(tmp_path / "g.parquet")


class TestLayout:
    @pytest.mark.parametrize(
        "text",
        [
            f"\ufeff{WIDE}1,A,2,3\n",
            f"{WIDE}1,A,2,3",
            f"{WIDE}1,A,2,3\n".replace("\n", "\r\n"),
            f"{WIDE}1,A,2,3\n".replace("\n", "\r"),
            f"{WIDE}\n1,A,2,3\n\n\n",
            "cell,country,WHEA_H,WHEA_P,,\n1,A,2,3,,\n",
            " cell , COUNTRY ,whea_h , Whea_P\n1,A,2,3\n",
            "WHEA_P,note,country,WHEA_H,cell\n3,x,A,2,1\n",
            '"cell","country","WHEA_H","WHEA_P"\n"1","A","2","3"\n',
        ],
        ids=["bom", "no end", "crlf", "cr", "blank lines", "empty columns", "header", "order", "quotes"],
    )
    def test_it_is_one_grid(self, tmp_path: Path, text: str) -> None:
        want = Grid.from_arrays(cell=[1], country=["A"], crops={"WHEA": ([2.0], [3.0])})
        assert csv_grid(tmp_path, text).digest("WHEA") == want.digest("WHEA")

    def test_encodings_of_two_bytes_are_read_where_they_are_named(self, tmp_path: Path) -> None:
        content = f"{WIDE}1,Åland,2,3\n".encode("utf-16")
        assert csv_grid(tmp_path, content, encoding="utf-16").countries == ("Åland",)
        with pytest.raises(InputError, match="not a CSV file"):
            csv_grid(tmp_path, content)

    @pytest.mark.parametrize("encoding", ["rot13", "undefined", "no-such", "ascii"])
    def test_encodings_that_do_not_fit_are_named(self, tmp_path: Path, encoding: str) -> None:
        with pytest.raises(InputError, match=f"cannot be read as {encoding}"):
            csv_grid(tmp_path, f"{WIDE}1,Å,2,3\n", encoding=encoding)

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("g.csv", b"\xef\xbb\xbf", "no header line"),
            ("g.csv", b"\n\n\n", "no header line"),
            ("g.csv", b"PK\x03\x04\x14\x00\x06\x00", "not a CSV file"),
            ("g.csv", b"PAR1" + bytes(30), "not a CSV file"),
            ("g.csv", WIDE.replace(",", ";").encode() + b"1;A;2;3\n", "no column cell and country; found cell;country"),
            ("g.csv", WIDE.encode() + b'1,"A,2,3\n2,B,1,1\n', "row 1: 2 fields, the header has 4"),
            ("g.csv", WIDE.encode() + b"1,A,2,3\n2\n", "row 2: 1 fields, the header has 4"),
            ("g.csv", b"cell,country,_H,_P\n1,A,2,3\n", "no column CODE_H and CODE_P"),
            ("g.csv", b"cell,country,WHEA_P\n1,A,3\n", "no column WHEA_H; found cell, country, WHEA_P"),
            ("g.csv.gz", WIDE.encode(), "not a whole gzip file"),
            ("g.csv.gz", gzip.compress(b"", mtime=0), "no header line"),
            ("g.csv.gz", gzip.compress(WIDE.encode(), mtime=0) + b"xx", "not a whole gzip file"),
            ("g.parquet", WIDE.encode(), "not a whole Parquet file"),
        ],
    )
    def test_what_is_no_table_is_named(self, tmp_path: Path, name: str, content: bytes, message: str) -> None:
        with pytest.raises(InputError, match=rf"{name.replace('.', '[.]')}.*{message}"):
            csv_grid(tmp_path, content, name)

    def test_gzip_in_two_members_is_one_file(self, tmp_path: Path) -> None:
        content = gzip.compress(WIDE.encode()) + gzip.compress(b"1,A,2,3\n")
        assert csv_grid(tmp_path, content, "G.CSV.GZ").n_cells == 1

    def test_no_flipped_bit_of_a_parquet_file_is_more_than_bad_input(self, tmp_path: Path) -> None:
        parquet_grid(tmp_path)
        whole = (tmp_path / "g.parquet").read_bytes()
        rng = np.random.default_rng(3)
        for place, bit in zip(rng.integers(0, len(whole), 300).tolist(), rng.integers(0, 8, 300).tolist(), strict=True):
            broken = bytearray(whole)
            broken[place] ^= 1 << bit
            (tmp_path / "b.parquet").write_bytes(broken)
            with contextlib.suppress(InputError):  # anything else is a crash
                read_grid(tmp_path / "b.parquet")


class TestIds:
    @pytest.mark.parametrize(
        ("ids", "want"),
        [
            (["007", "8"], [7, 8]),
            ([" 7 ", "+8"], [7, 8]),
            (["0x10", "16"], ["0x10", "16"]),
            (["1_0", "10"], ["10", "1_0"]),
            (["-5", "3"], [-5, 3]),
            (["1.0", "2.0"], ["1.0", "2.0"]),
            (["NA", "8"], ["8", "NA"]),
            ([str(2**63), "-1"], ["-1", str(2**63)]),
            (["b", "B", "ß", "a"], ["B", "a", "b", "ß"]),
        ],
    )
    def test_text_and_arrays_agree(self, tmp_path: Path, ids: list[str], want: list[Any]) -> None:
        rows = "".join(f"{text},A,1,1\n" for text in ids)
        assert csv_grid(tmp_path, WIDE + rows).cell.tolist() == want
        ones = [1.0] * len(ids)
        assert Grid.from_arrays(cell=ids, country=["A"] * len(ids), crops={"WHEA": (ones, ones)}).cell.tolist() == want

    @pytest.mark.parametrize(("first", "second"), [("7", "007"), ("+5", "5"), ("é", "e\u0301"), ("a", " a ")])
    def test_spellings_of_one_id_occur_twice(self, tmp_path: Path, first: str, second: str) -> None:
        with pytest.raises(InputError, match="occurs twice, in rows 1 and 2"):
            csv_grid(tmp_path, f"{WIDE}{first},A,1,1\n{second},A,1,1\n")

    @pytest.mark.parametrize(
        ("ids", "want"),
        [
            ([1e19, 1e20], ["10000000000000000000", "100000000000000000000"]),
            ([2**63 + 5, -1], ["-1", str(2**63 + 5)]),
            (np.array([2**64 - 1, 0], np.uint64), ["0", str(2**64 - 1)]),
            (np.array([3, "a"], dtype=object), ["3", "a"]),
            (pd.Series([5, 4], index=[9, 8]), [4, 5]),
            ([2**53 + 1, 2**53], [2**53, 2**53 + 1]),
        ],
    )
    def test_no_id_passes_through_float(self, ids: Any, want: list[Any]) -> None:
        assert Grid.from_arrays(cell=ids, country=["A", "A"], crops={}).cell.tolist() == want

    @given(st.lists(st.integers(-(10**22), 10**22), unique=True, max_size=8))
    def test_integers_of_any_size_are_sorted_as_integers(self, numbers: list[int]) -> None:
        ids = read_ids(list(map(str, numbers)))
        assert [int(text) for text in ids[order_of(ids)].tolist()] == sorted(numbers)

    @given(st.lists(st.text("aé_-1 ", min_size=1, max_size=3), min_size=1, max_size=8))
    def test_the_second_of_two_is_found_where_it_stands(self, texts: list[str]) -> None:
        cleaned = [str(one) for one in read_ids(texts).tolist()]
        ids = read_ids(texts)
        found = twice(ids, order_of(ids))
        seen: dict[str, int] = {}
        again = next(((seen[t], i) for i, t in enumerate(cleaned) if seen.setdefault(t, i) != i), None)
        assert again == (None if found is None else (found.first, found.second))


class TestArrays:
    def test_masked_values_are_missing(self) -> None:
        area = np.ma.array([1, 2], mask=[True, False])
        grid = Grid.from_arrays(cell=[1, 2], country=["A", "A"], crops={"WHEA": (area, [3.0, 4.0])})
        assert math.isnan(grid.columns["WHEA"][0][0])
        assert grid.dropped["missing"] == 1

    @pytest.mark.parametrize(
        ("country", "names"),
        [
            ([840, 124], ("124", "840")),
            (pd.Categorical(["b", None]), ("b",)),
            (pd.Series(["b", "a"], index=[7, 3]), ("a", "b")),
            (np.array(["b", "a"]), ("a", "b")),
            ([float("nan"), "a"], ("a",)),
            ([pd.NA, " a "], ("a",)),
            ([None, None], ()),
        ],
    )
    def test_names_come_in_many_kinds(self, country: Any, names: tuple[str, ...]) -> None:
        assert Grid.from_arrays(cell=[1, 2], country=country, crops={}).countries == names

    def test_names_of_two_kinds_are_refused(self) -> None:
        with pytest.raises(InputError, match="more than one kind"):
            encode(["A", 840], "country")

    @pytest.mark.parametrize("values", [["1", "x"], [1, {}], [[1, 2], [3]]])
    def test_what_holds_no_numbers_is_refused(self, values: Any) -> None:
        with pytest.raises(UsageError, match="does not hold numbers"):
            Grid.from_arrays(cell=[1, 2], country=["A", "A"], crops={"WHEA": (values, [1.0, 2.0])})

    def test_codes_that_differ_in_case_alone_are_refused(self) -> None:
        one = ([1.0], [2.0])
        with pytest.raises(UsageError, match="crops WHEA and whea differ only in letter case"):
            Grid.from_arrays(cell=[1], country=["A"], crops={"WHEA": one, "whea": one})

    @pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
    def test_kcal_must_be_above_nothing(self, value: float) -> None:
        with pytest.raises(UsageError, match="kcal_per_g of WHEA"):
            Grid.from_arrays(cell=[1], country=["A"], crops={}, kcal_per_g={"WHEA": value})

    def test_frames_may_hold_numbers_as_objects(self) -> None:
        h = pd.DataFrame({"grid_code": [1, 2], "ADM0_NAME": ["A", "B"], "WHEA_A": ["1.5", " NA "]})
        p = pd.DataFrame({"grid_code": [2, 1], "ADM0_NAME": ["B", "A"], "WHEA_A": pd.array([4, 3], dtype="Int64")})
        grid = frames_to_grid(p, h)
        assert production(grid) == [3.0, 4.0]
        assert math.isnan(grid.columns["WHEA"][0][1])
