"""Files of every form, encoding and kind; each thing that is wrong is named with file, row, column and value."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.workloads.envelope.conftest import Write, small_columns

from fanwise.errors import FanwiseWarning, InputError, UsageError
from fanwise.workloads.envelope import Grid, _pack, read_grid
from fanwise.workloads.envelope._generate import write_grid
from fanwise.workloads.envelope._grid import segments_of
from fanwise.workloads.envelope._labels import Labels
from fanwise.workloads.envelope.io import frames_to_grid

WIDE = "cell,country,WHEA_H,WHEA_P"
LONG = "cell,country,crop,harvest_ha,production_mt"
SPAM = "grid_code,x,y,ADM0_NAME,ADM1_NAME,rec_type,WHEA_A,RICE_A"


def same(a: Grid, b: Grid) -> bool:
    return a.crops == b.crops and all(a.digest(code) == b.digest(code) for code in a.crops)


class TestForms:
    def test_wide_in_any_letter_case_and_with_columns_that_do_not_matter(self, write: Write) -> None:
        grid = read_grid(write("g.csv", "Cell,COUNTRY,x,whea_h,WHEA_p,note", "2,B,0.5,3,4,hm", "1,A,0.1,1,2,"))
        assert grid.crops == ("WHEA",)
        assert grid.cell.tolist() == [1, 2]
        assert grid.columns["WHEA"][1].tolist() == [2.0, 4.0]

    def test_long_rows_make_columns_and_absent_ones_are_missing(self, write: Write) -> None:
        grid = read_grid(write("g.csv", LONG, "1,A,whea,1.5,3", "2,B,RICE,2,4", "2,B,WHEA,5,6"))
        assert grid.crops == ("WHEA", "RICE")
        assert np.isnan(grid.columns["RICE"][0][0])
        assert grid.dropped == {"missing": 1, "zero": 0, "bad": 0, "unpaired": 0}

    def test_a_pair_by_record_type(self, write: Write) -> None:
        h = write("a.csv", SPAM, "1,0,0,A,R,H,10,1", "2,0,0,B,R,H,20,2")
        p = write("b.csv", SPAM, "2,0,0,B,R,P,40,4", "1,0,0,A,R,P,30,3")
        assert same(read_grid(h, p), read_grid(p, h))
        assert read_grid(h, p).columns["WHEA"][1].tolist() == [30.0, 40.0]

    def test_a_pair_by_file_name(self, write: Write) -> None:
        header = SPAM.replace("rec_type,", "")
        h = write("spam_H_TA.csv", header, "1,0,0,A,R,10,1")
        p = write("spam_P_TA.csv", header, "1,0,0,A,R,30,3")
        assert read_grid(p, h).columns["WHEA"][0].tolist() == [10.0]

    def test_a_pair_by_what_was_said(self, write: Write) -> None:
        header = SPAM.replace("rec_type,", "")
        a, b = write("a.csv", header, "1,0,0,A,R,10,1"), write("b.csv", header, "1,0,0,A,R,30,3")
        assert read_grid(harvest=b, production=a).columns["WHEA"][0].tolist() == [30.0]
        assert read_grid(a, b, production=a).columns["WHEA"][0].tolist() == [30.0]

    def test_what_was_said_wins(self, write: Write) -> None:
        a = write("a.csv", SPAM, "1,0,0,A,R,H,10,1")
        b = write("b.csv", SPAM, "1,0,0,A,R,P,30,3")
        assert read_grid(harvest=b, production=a).columns["WHEA"][0].tolist() == [30.0]

    def test_the_layout_of_2010(self, write: Write) -> None:
        header = "cell5m,x,y,name_cntr,name_adm1,rec_type,whea_i"
        h, p = write("h.csv", header, "1,0,0,A,R,H,10"), write("p.csv", header, "1,0,0,A,R,P,30")
        grid = read_grid(h, p, technology="i")
        assert (grid.crops, grid.countries, grid.regions) == (("WHEA",), ("A",), ("R",))

    def test_codes_of_countries_stand_for_names(self, write: Write) -> None:
        grid = read_grid(write("g.csv", "cell,country,iso3,WHEA_H,WHEA_P", "1,France,FRA,1,2", "2,Italy,ITA,1,2"))
        assert grid.find("country", "fra") == "France"
        assert segments_of(grid, "country", ["ITA"])[0] == ("World", "Italy")

    def test_parquet_with_narrow_types(self, tmp_path: Path) -> None:
        table = pa.table({
            "cell": pa.array([5, 3], pa.int32()), "country": pa.array(["B", None]).dictionary_encode(),
            "WHEA_H": pa.array([1.5, 2.5], pa.float32()), "WHEA_P": pa.array([7, None], pa.int64()),
        })  # fmt: skip
        pq.write_table(table, tmp_path / "g.parquet")
        grid = read_grid(tmp_path / "g.parquet")
        assert grid.columns["WHEA"][0].dtype == np.float64
        assert grid.countries == ("B",)
        assert np.isnan(grid.columns["WHEA"][1][0])

    def test_parquet_with_numbers_as_text(self, tmp_path: Path) -> None:
        frame = pd.DataFrame(
            {"cell": ["b", "a"], "country": ["X", "X"], "WHEA_H": ["1.5", " NA "], "WHEA_P": ["2", ""]}
        )
        frame.to_parquet(tmp_path / "g.parquet")
        assert read_grid(tmp_path / "g.parquet").columns["WHEA"][0][1] == 1.5

    @pytest.mark.parametrize("suffix", ["csv", "parquet"])
    def test_what_is_written_reads_back(self, tmp_path: Path, made_up: Grid, suffix: str) -> None:
        write_grid(made_up, str(tmp_path / f"g.{suffix}"))
        assert same(read_grid(tmp_path / f"g.{suffix}"), made_up)

    def test_gzip(self, tmp_path: Path) -> None:
        (tmp_path / "g.csv.gz").write_bytes(gzip.compress(f"{WIDE}\n1,A,2,3\n".encode()))
        assert read_grid(tmp_path / "g.csv.gz").n_cells == 1

    def test_data_frames_in_the_layout_of_spam(self) -> None:
        h = pd.DataFrame({"grid_code": [2, 1], "ADM0_NAME": ["B", "A"], "WHEA_A": [20.0, 10.0]})
        p = pd.DataFrame({"grid_code": [1, 2], "ADM0_NAME": ["A", "B"], "WHEA_A": [30.0, 40.0]})
        assert frames_to_grid(p, h).columns["WHEA"][1].tolist() == [30.0, 40.0]
        with pytest.raises(InputError, match="production frame"):
            frames_to_grid(p.rename(columns={"grid_code": "id"}), h)


class TestText:
    def test_a_byte_order_mark_is_no_part_of_the_header(self, write: Write) -> None:
        assert read_grid(write("g.csv", WIDE, "1,A,2,3", encoding="utf-8-sig")).n_cells == 1

    def test_cp1252_is_read_with_a_warning_that_names_the_file(self, write: Write) -> None:
        path = write("old.csv", WIDE, "1,Perú,2,3", encoding="cp1252")
        with pytest.warns(FanwiseWarning, match=r"old\.csv.*cp1252"):
            assert read_grid(path).countries == ("Perú",)

    def test_an_encoding_that_is_named_is_used(self, write: Write) -> None:
        path = write("g.csv", WIDE, "1,Ελλάδα,2,3", encoding="iso8859-7")
        assert read_grid(path, encoding="iso8859-7").countries == ("Ελλάδα",)
        with pytest.raises(InputError, match="utf-99"):
            read_grid(path, encoding="utf-99")
        with pytest.raises(InputError, match="ascii"):
            read_grid(path, encoding="ascii")

    def test_spellings_of_one_name_are_one_country(self, write: Write) -> None:
        grid = read_grid(write("g.csv", WIDE, "1,Côte,2,3", "2, Co\u0302te ,2,3", '3,"a,""b""",2,3', "4,,1,1"))
        assert grid.countries == ("Côte", 'a,"b"')
        assert grid.country.codes.tolist() == [0, 0, 1, -1]

    def test_a_country_called_na_is_a_country(self, write: Write) -> None:
        assert read_grid(write("g.csv", WIDE, "1,NA,2,NA")).countries == ("NA",)

    @pytest.mark.parametrize("text", ["", "NA", "NaN"])
    def test_missing_numbers(self, write: Write, text: str) -> None:
        grid = read_grid(write("g.csv", WIDE, f"1,A,{text},3", "2,A,1,1"))
        assert np.isnan(grid.columns["WHEA"][0][0])

    def test_a_quoted_line_break_is_text(self, write: Write) -> None:
        assert read_grid(write("g.csv", WIDE, '1,"A', 'B",2,3')).countries == ("A\nB",)

    def test_crlf(self, tmp_path: Path) -> None:
        (tmp_path / "g.csv").write_bytes(f"{WIDE}\r\n1,A,2,3\r\n".encode())
        assert read_grid(tmp_path / "g.csv").columns["WHEA"][1].tolist() == [3.0]


class TestIds:
    def test_integers_are_sorted_as_integers_and_text_by_code_point(self, write: Write) -> None:
        assert read_grid(write("a.csv", WIDE, "10,A,1,1", "9,A,1,1")).cell.tolist() == [9, 10]
        assert read_grid(write("b.csv", WIDE, "x10,A,1,1", "x9,A,1,1", "é,A,1,1")).cell.tolist() == ["x10", "x9", "é"]

    def test_integers_beyond_64_bits_are_integers_too(self, write: Write) -> None:
        big = 10**25
        assert read_grid(write("g.csv", WIDE, f"{big},A,1,1", f"{9 * big // 10},A,1,1")).cell[1] == str(big)

    def test_integers_beyond_doubles_stay_apart(self, write: Write) -> None:
        assert read_grid(write("g.csv", WIDE, f"{2**53 + 1},A,1,1", f"{2**53},A,1,1")).cell.tolist() == [
            2**53,
            2**53 + 1,
        ]

    def test_whole_floats_are_integers(self) -> None:
        assert Grid.from_arrays(cell=[2.0, 1.0], country=["", ""], crops={}).cell.tolist() == [1, 2]


BAD = [
    (("g.txt", WIDE), "expected a .csv"),
    (("g.csv", WIDE), "no data rows"),
    (("g.csv", ""), "no header"),
    (("g.csv", "cell,WHEA_H,WHEA_P", "1,2,3"), "no column country; found cell, WHEA_H, WHEA_P"),
    (("g.csv", "id,name,a", "1,2,3"), "no column cell and country"),
    (("g.csv", "cell,country,WHEA_H", "1,A,2"), "no column WHEA_P"),
    (("g.csv", "cell,country", "1,A"), "no column CODE_H and CODE_P"),
    (("g.csv", "cell,country,crop,harvest_ha", "1,A,W,2"), "no column production_mt"),
    (("g.csv", "cell,country,WHEA_H,whea_h,WHEA_P", "1,A,2,3,4"), "'WHEA_H' and 'whea_h'"),
    (("g.csv", WIDE, "1,A,2,3", "2,A,abc,4"), r"g\.csv row 2, column WHEA_H: 'abc' is not a number with a decimal point"),
    (("g.csv", WIDE, '1,A,"12,5",3'), r"g\.csv row 1, column WHEA_H: '12,5'"),
    (("g.csv", WIDE, "1,A,2,3", "2,A,12,5,3"), r"g\.csv row 2: 5 fields, the header has 4"),
    (("g.csv", WIDE, "1,A,2"), r"g\.csv row 1: 3 fields, the header has 4"),
    (("g.csv", WIDE, "1,A,2,1_0"), "'1_0' is not"),
    (("g.csv", WIDE, "7,A,2,3", "8,A,2,3", "7,B,2,3"), "cell 7 occurs twice, in rows 1 and 3"),
    (("g.csv", WIDE, "1,A,2,3", ",A,2,3"), "row 2, column cell: the cell id is blank"),
    (("g.csv", WIDE, "1,World,2,3"), "a country is called World"),
    (("g.csv", LONG, "1,A,W,2,3", "1,A,W,2,3"), "cell 1 with crop W occurs twice, in rows 1 and 2"),
    (("g.csv", LONG, "1,A,W,2,3", "1,B,V,2,3"), "row 2, column country: 'B', but row 1 has 'A'"),
    (("g.csv", LONG, "1,A,,2,3"), "row 1, column crop: the code is blank"),
    (("g.csv", SPAM, "1,0,0,A,R,H,1,2"), "alone is half of a pair; give both files"),
    (("g.csv", SPAM, "1,0,0,A,R,A,1,2"), r"holds physical area \(A\); harvested area \(H\) and production \(P\)"),
    (("g.csv", SPAM, "1,0,0,A,R,Y,1,2"), "holds yield"),
    (("spam_V_TA.csv", SPAM.replace("rec_type,", ""), "1,0,0,A,R,1,2"), "holds value of production"),
    (("g.csv", SPAM, "1,0,0,A,R,H,1,2", "2,0,0,A,R,P,1,2"), "column rec_type: h and p"),
]  # fmt: skip


class TestBadInput:
    @pytest.mark.parametrize(("file", "message"), BAD, ids=[message[:40] for _, message in BAD])
    def test_it_is_named(self, write: Write, file: tuple[str, ...], message: str) -> None:
        with pytest.raises(InputError, match=message):
            read_grid(write(*file))

    def test_a_file_that_is_not_there(self) -> None:
        with pytest.raises(InputError, match=r"cannot read .*nowhere\.csv: no such file"):
            read_grid("nowhere.csv")

    def test_a_directory(self, tmp_path: Path) -> None:
        (tmp_path / "d.csv").mkdir()
        with pytest.raises(InputError, match="is a directory"):
            read_grid(tmp_path / "d.csv")

    def test_nothing_at_all(self) -> None:
        with pytest.raises(UsageError, match="no input"):
            read_grid()

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("g.csv", b"", "the file is empty"),
            ("g.csv", b"a\0b\n1\n", "not a CSV file"),
            ("g.parquet", b"PAR1 and no more", "not a whole Parquet file"),
            ("g.csv.gz", b"\x1f\x8b\x08", "not a whole gzip file"),
            ("g.csv.gz", gzip.compress(b"cell,country,A_H,A_P\n1,B,2,3\n" * 50, mtime=0)[:-9], "not a whole gzip file"),
        ],
    )
    def test_files_that_are_not_whole(self, tmp_path: Path, name: str, content: bytes, message: str) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_grid(tmp_path / name)

    def test_a_parquet_file_cut_short(self, tmp_path: Path, made_up: Grid) -> None:
        write_grid(made_up, str(tmp_path / "g.parquet"))
        whole = (tmp_path / "g.parquet").read_bytes()
        (tmp_path / "g.parquet").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InputError, match="not a whole Parquet file"):
            read_grid(tmp_path / "g.parquet")

    def test_a_damaged_parquet_file_is_bad_input_wherever_the_damage_is(self, tmp_path: Path) -> None:
        path = tmp_path / "g.parquet"
        columns = {
            "cell": range(20),
            "country": ["Côte"] * 20,
            "ISO3": ["CIV"] * 20,
            "A_H": [1.5] * 20,
            "A_P": [2.5] * 20,
        }
        pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), path)
        whole = path.read_bytes()
        for at in range(0, len(whole), 16):
            path.write_bytes(whole[:at] + bytes(byte ^ 0xFF for byte in whole[at : at + 4]) + whole[at + 4 :])
            with contextlib.suppress(InputError):  # where only a value changed, or a name, it is another grid
                read_grid(path)

    @pytest.mark.parametrize(
        ("values", "message"),
        [(["1", "x"], "row 2, column WHEA_H: 'x'"), ([True, False], "not a number"), ([[1], [2]], "not a number")],
    )
    def test_a_parquet_column_without_numbers(self, tmp_path: Path, values: list[object], message: str) -> None:
        pd.DataFrame({"cell": [1, 2], "country": "A", "WHEA_H": values, "WHEA_P": 1.0}).to_parquet(
            tmp_path / "g.parquet"
        )
        with pytest.raises(InputError, match=message):
            read_grid(tmp_path / "g.parquet")

    def test_two_files_that_are_no_pair(self, write: Write) -> None:
        a, b = write("a.csv", WIDE, "1,A,2,3"), write("b.csv", WIDE, "2,A,2,3")
        with pytest.raises(InputError, match="2 files: expected one wide or long file"):
            read_grid(a, b)
        with pytest.raises(InputError, match=r"a\.csv is not in the layout of SPAM"):
            read_grid(harvest=a, production=b)

    def test_three_files_of_a_pair(self, write: Write) -> None:
        files = [write(f"{n}.csv", SPAM, "1,0,0,A,R,H,1,2") for n in "abc"]
        with pytest.raises(InputError, match="3 files"):
            read_grid(*files)

    def test_a_pair_that_cannot_be_told_apart(self, write: Write) -> None:
        files = [write(f"{n}.csv", SPAM.replace("rec_type,", ""), "1,0,0,A,R,1,2") for n in "ab"]
        with pytest.raises(InputError, match="--harvest FILE and --production FILE"):
            read_grid(*files)

    def test_a_crop_in_one_file_of_a_pair(self, write: Write) -> None:
        h = write("h.csv", SPAM, "1,0,0,A,R,H,1,2")
        p = write("p.csv", SPAM.replace(",RICE_A", ""), "1,0,0,A,R,P,1")
        with pytest.raises(InputError, match=r"p\.csv: no column RICE_A"):
            read_grid(h, p)

    def test_a_technology_that_is_not_there(self, write: Write) -> None:
        h, p = (write(f"{n}.csv", SPAM, f"1,0,0,A,R,{n},1,2") for n in "HP")
        with pytest.raises(InputError, match="no column for technology R; there are columns for A"):
            read_grid(h, p, technology="R")
        with pytest.raises(UsageError, match="expected one of A, I, R, H, L, S"):
            read_grid(h, p, technology="X")

    def test_a_pair_without_countries(self, write: Write) -> None:
        header = "grid_code,rec_type,WHEA_A"
        h, p = (write(f"{n}.csv", header, f"1,{n},1") for n in "HP")
        with pytest.raises(InputError, match="no column ADM0_NAME"):
            read_grid(h, p)


class TestDropped:
    def test_bad_values_are_counted_and_named_in_file_order(self, write: Write) -> None:
        grid = read_grid(write("g.csv", WIDE, "3,A,1,-2", "2,A,inf,1", "1,A,1,2", "4,A,-1,inf"))
        assert grid.dropped["bad"] == 3
        assert [text.split(";")[0] for text in grid.notes.bad] == [
            "g.csv row 1, column WHEA_P: -2.0",
            "g.csv row 2, column WHEA_H: inf",
            "g.csv row 4, column WHEA_H: -1.0",
            "g.csv row 4, column WHEA_P: inf",
        ]

    def test_strict_ends_at_the_first(self, write: Write) -> None:
        with pytest.raises(InputError, match=r"row 2, column WHEA_H: inf"):
            read_grid(write("g.csv", WIDE, "3,A,1,2", "2,A,inf,1"), strict=True)

    def test_cells_of_one_file_are_counted_and_said(self, write: Write) -> None:
        h = write("h.csv", SPAM, "1,0,0,A,R,H,1,2", "2,0,0,A,R,H,1,2")
        p = write("p.csv", SPAM, "2,0,0,A,R,P,1,2", "x3,0,0,A,R,P,1,2")
        with pytest.warns(FanwiseWarning, match="2 cells are in only one of the files"):
            grid = read_grid(h, p)
        assert (grid.n_cells, grid.dropped["unpaired"]) == (1, 2)
        with pytest.raises(InputError, match=r"in only one of the files$"):
            read_grid(h, p, strict=True)

    def test_a_cell_is_dropped_for_one_reason(self) -> None:
        nan = float("nan")
        pair = [nan, 0.0, -1.0, 1.0, nan], [1.0, nan, nan, 0.0, -1.0]
        grid = Grid.from_arrays(cell=range(5), country=[""] * 5, crops={"W": pair})
        assert grid.dropped == {"missing": 2, "zero": 1, "bad": 2, "unpaired": 0}


class TestGrid:
    def test_it_owns_what_it_holds(self) -> None:
        columns = small_columns()
        grid = Grid.from_arrays(**columns)
        before = grid.digest("WHEA")
        columns["crops"]["WHEA"][0][:] = 1.0  # type: ignore[index]  # the caller's own array
        assert Grid.from_arrays(**columns).digest("WHEA") != before
        assert grid.digest("WHEA") == before
        for array in (grid.cell, grid.country.codes, *grid.columns["WHEA"]):
            assert not array.flags.writeable

    def test_rows_in_any_order_are_one_grid(self) -> None:
        columns = small_columns()
        order = np.random.default_rng(3).permutation(30)
        shuffled = {
            "cell": columns["cell"][order],  # type: ignore[index]
            "country": columns["country"][order],  # type: ignore[index]
            "region": columns["region"][order],  # type: ignore[index]
            "crops": {c: (h[order], p[order]) for c, (h, p) in columns["crops"].items()},  # type: ignore[attr-defined]
        }
        assert same(Grid.from_arrays(**columns), Grid.from_arrays(**shuffled))

    @pytest.mark.parametrize("what", ["cell", "country", "region", "area", "production"])
    def test_every_byte_counts_in_the_digest(self, what: str) -> None:
        columns = small_columns()
        before = Grid.from_arrays(**columns).digest("WHEA")
        if what in {"area", "production"}:
            columns["crops"]["WHEA"][what == "production"][17] = 7.125  # type: ignore[index]
        else:
            columns[what][17] = 999 if what == "cell" else "North" if columns[what][17] != "North" else "South"  # type: ignore[index]
        assert Grid.from_arrays(**columns).digest("WHEA") != before

    def test_another_crop_does_not_count(self) -> None:
        columns = small_columns()
        before = Grid.from_arrays(**columns).digest("WHEA")
        columns["crops"]["MAIZ"][0][5] = 1.0  # type: ignore[index]
        assert Grid.from_arrays(**columns).digest("WHEA") == before

    @pytest.mark.parametrize(
        "wrong",
        [
            {"country": ["A"]},
            {"crops": {"W": ([1.0], [1.0])}},
            {"crops": {"W": ([[1.0]], [[1.0]])}},
        ],
    )
    def test_lengths_must_agree(self, wrong: dict[str, object]) -> None:
        with pytest.raises(UsageError):
            Grid.from_arrays(**({"cell": [1, 2], "country": ["A", "B"], "crops": {}} | wrong))

    def test_ids_must_be_there_once(self) -> None:
        with pytest.raises(InputError, match="cell 1 occurs twice: rows 1 and 3"):
            Grid.from_arrays(cell=[1, 2, 1], country=[""] * 3, crops={})
        with pytest.raises(InputError, match="row 2: the cell id is blank"):
            Grid.from_arrays(cell=["a", None], country=[""] * 2, crops={})

    def test_segments_are_world_and_names_by_code_point(self, small: Grid) -> None:
        assert segments_of(small, "country", None)[0] == ("World", "Côte d'Émeraude", "Utopia", "東の国")
        assert segments_of(small, "none", None)[0] == ("World",)
        names, codes = segments_of(small, "country", ["utopia"])
        assert names == ("World", "Utopia")
        assert set(codes.tolist()) == {-1, 0}

    def test_a_name_that_is_not_there_is_refused(self, small: Grid) -> None:
        with pytest.raises(UsageError, match="no region 'Norht' in the grid; did you mean North"):
            small.find("region", "Norht")
        with pytest.raises(UsageError, match="no crop 'RICE'"):
            small.digest("RICE")

    def test_kcal_of_ones_own_go_first(self, small: Grid) -> None:
        assert small.with_kcal({"WHEA": 9.0}).kcal_per_g["WHEA"] == 9.0
        assert small.kcal_per_g["WHEA"] == 3.34
        assert small.with_kcal({"WHEA": 9.0}).digest("WHEA") == small.digest("WHEA")


class TestEntries:
    def test_a_grid_survives_the_cache(self, small: Grid) -> None:
        entry = {k: np.array(v) if isinstance(v, np.ndarray) else v for k, v in _pack.to_entry(small).items()}
        assert _pack.crops_of(entry) == list(small.crops)
        again = _pack.from_entry(entry, [{"columns": list(map(np.array, pair))} for pair in small.columns.values()])
        assert again is not None
        assert same(small, again)
        assert again.dropped == small.dropped

    def test_what_does_not_fit_is_no_grid(self, small: Grid) -> None:
        entry, parts = _pack.to_entry(small), [_pack.to_part(pair) for pair in small.columns.values()]
        assert _pack.from_entry({"header": "{}"}, parts) is None
        assert _pack.crops_of({"header": "{}"}) == []
        assert _pack.from_entry(entry | {"cell": entry["cell"][1:]}, parts) is None
        assert _pack.from_entry(entry, parts[1:]) is None
        assert _pack.from_entry(entry, [*parts[1:], None]) is None
        assert _pack.from_entry(entry, [*parts[1:], {"columns": [small.cell, small.cell[1:]]}]) is None

    def test_labels_can_be_taken(self) -> None:
        labels = Labels(("A", "B"), np.array([1, 0, -1], np.int32))
        assert labels.take(np.array([2, 0])).codes.tolist() == [-1, 1]
