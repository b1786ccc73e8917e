"""Workbooks as openpyxl and an XML parser see them."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from openpyxl.worksheet.worksheet import Worksheet

from fanwise.errors import InputError
from fanwise.workloads.auditscan import FileResult, Match, Rule, RuleHits, ScanResult, SysFilter
from fanwise.workloads.auditscan._contents import books
from fanwise.workloads.auditscan._sheet import MOST_ROWS, Sheet, render
from fanwise.workloads.auditscan._workbook import location_of, write_workbook

from .made import LINUX, WINDOWS, hits, result, several

SSH = Rule(
    "ssh",
    "x",
    comment="Root should not log in.",
    sheet="05 SSH",
    topic="Network",
    field_list=("key", "value"),
    source="n.yaml",
)
FAMILY = {name: (SysFilter("os_family", "eq", name),) for name in ("Linux", "Windows")}


def workbooks(scan: ScanResult) -> dict[str, bytes]:
    made = {}
    for book in books(scan):
        out = io.BytesIO()
        rendered = iter([sheet.render() for sheet in book.rule_sheets])
        write_workbook(out, ((sheet, done.member) for sheet, done in book.sheets(rendered)))
        made[book.family] = out.getvalue()
    return made


def opened(scan: ScanResult, family: str = "Linux") -> Workbook:
    return openpyxl.load_workbook(io.BytesIO(workbooks(scan)[family]))


def rows(sheet: Worksheet, first: int, columns: int = 20) -> list[list[Any]]:
    return [
        list(row)
        for row in sheet.iter_rows(min_row=first, max_col=columns, values_only=True)
        if any(value is not None for value in row)
    ]


class TestRuleSheet:
    def sheet(self, *matches: Any, rule: Rule = SSH) -> Worksheet:
        return opened(result(hits(rule, *matches))).worksheets[2]

    def test_comment_headings_rows_and_facts(self) -> None:
        sheet = self.sheet(("root yes", {"key": "root", "value": "yes"}), ("x", None))
        assert sheet.title == "05_SSH"
        assert sheet["A1"].value == "Root should not log in."
        assert [str(area) for area in sheet.merged_cells.ranges] == ["A1:D1"]
        assert [c.value for c in sheet[3]][:7] == [
            "System Name", "Line Number", "Matched Text", "key", "value", None, "Search Configuration:",
        ]  # fmt: skip
        assert [c.value for c in sheet[4]][:5] == ["web1", 1, "root yes", "root", "yes"]
        assert [c.value for c in sheet[5]][:5] == ["web1", 2, "x", "", ""]
        facts = {sheet.cell(n, 7).value: sheet.cell(n, 8).value for n in range(3, 12)}
        assert facts == {
            "Search Configuration:": "", "Name:": "ssh", "Total Results:": 2, "Unique Systems:": 1,
            "Max Results:": "Unlimited",
            "Only Matching:": "No", "Unique Results:": "No", "Full Scan:": "No", "Extracted Fields:": "key, value",
        }  # fmt: skip

    def test_rows_are_an_excel_table_whose_headings_are_its_columns(self) -> None:
        sheet = self.sheet(("a", {"key": "b"}), "c", "d")
        [table] = sheet.tables.values()
        assert table.ref == "A3:E6"
        assert table.tableStyleInfo.name == "TableStyleMedium9"
        assert table.tableStyleInfo.showRowStripes
        assert [column.name for column in table.tableColumns] == [c.value for c in sheet[3]][:5]

    def test_looks(self) -> None:
        sheet = self.sheet("a" * 80, "x\ny\nz")
        assert sheet["A4"].alignment.wrap_text
        assert (sheet["A4"].alignment.horizontal, sheet["A4"].alignment.vertical) == ("left", "top")
        assert (sheet["A1"].font.italic, sheet["A1"].font.size, sheet["A1"].alignment.wrap_text) == (True, 9, True)
        assert [sheet.column_dimensions[c].width for c in "ABC"] == [13, 13, 50]
        assert [sheet.row_dimensions[n].height for n in (1, 4, 5)] == [30, 15, 45]
        assert sheet.sheet_properties.tabColor.rgb == "FF2E75B6"

    @pytest.mark.parametrize(("length", "height"), [(10, 30), (360, 45), (10_000, 409)])
    def test_a_long_comment_has_a_high_row(self, length: int, height: int) -> None:
        sheet = self.sheet("a", rule=Rule("r", "x", comment="c" * length))
        assert sheet.row_dimensions[1].height == height

    def test_a_rule_without_a_comment_has_no_merged_cells(self) -> None:
        sheet = self.sheet("a", rule=Rule("r", "x"))
        assert sheet["A1"].value is None
        assert not sheet.merged_cells.ranges

    def test_nothing_found(self) -> None:
        sheet = self.sheet()
        assert (sheet["A3"].value, sheet["A4"].value) == (
            "Search Results",
            "No matches found for this search configuration",
        )
        assert (sheet["C3"].value, sheet["D5"].value) == ("Search Configuration:", 0)
        assert not sheet.tables
        assert sheet.column_dimensions["A"].width == 50

    def test_more_facts_than_rows_go_below(self) -> None:
        sheet = self.sheet("a")
        assert sheet["G11"].value == "Extracted Fields:"
        assert sheet["A5"].value is None

    def test_a_field_with_the_name_of_a_column_gets_a_number(self) -> None:
        sheet = self.sheet(("a", {"line number": "7"}), rule=Rule("r", "x", field_list=("line number", "LINE NUMBER")))
        assert [c.value for c in sheet[3]][3:5] == ["line number (2)", "LINE NUMBER (3)"]
        assert [c.value for c in sheet[4]][3:5] == ["7", ""]

    @pytest.mark.parametrize(
        "text", ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", "12", "2024-01-02", "TRUE", "1e5"]
    )
    def test_every_text_stays_text(self, text: str) -> None:
        cell = self.sheet((text, {"key": text}))["C4"]
        assert (cell.value, cell.data_type) == (text, "s")


class TestSummary:
    def test_one_row_a_rule_with_a_link(self) -> None:
        other = Rule("b'r", "x", sheet="It's: B", topic="A topic")
        book = opened(result(hits(SSH, ("a", {"key": "b"}), "c"), hits(other)))
        sheet = book["Summary"]
        assert sheet["A1"].value == "Search Results Summary"
        assert (sheet["A1"].font.bold, sheet["A1"].font.size) == (True, 16)
        assert rows(sheet, 2, 6) == [
            ["Search Name", "Topic", "Sheet Name", "Total Results", "Unique Systems", "Has Extracted Fields"],
            ["ssh", "Network", "05_SSH", 2, 1, "Yes"],
            ["b'r", "A topic", "It's__B", 0, 0, "No"],
        ]
        assert sheet["C3"].hyperlink.location == "'05_SSH'!A1"
        assert sheet["C4"].hyperlink.location == "'It''s__B'!A1"
        assert sheet["A3"].fill.fgColor.rgb != sheet["A4"].fill.fgColor.rgb
        [table] = sheet.tables.values()
        assert table.ref == "A2:F4"

    def test_rules_are_sorted_by_sheet_name_as_written(self) -> None:
        rules = [Rule(name, "x", sheet=sheet) for name, sheet in [("a", "b"), ("b", "_a"), ("c", "B"), ("d", "b")]]
        book = opened(result(*(hits(rule) for rule in rules)))
        assert [row[0] for row in rows(book["Summary"], 3)] == ["c", "b", "a", "d"]
        assert book.sheetnames[2:] == ["B", "a", "b (2)", "b (3)"]

    def test_a_rule_without_a_topic_is_unknown(self) -> None:
        assert rows(opened(result(hits(Rule("r", "x"))))["Summary"], 3)[0][1] == "Unknown"

    def test_an_interrupted_scan_says_so(self) -> None:
        title = opened(result(hits(SSH), partial=True))["Summary"]["A1"].value
        assert title == "Search Results Summary (PARTIAL: interrupted after 1 of 1 files)"


class TestSystems:
    def test_one_row_a_system(self) -> None:
        scan = several(
            [FileResult("a/web1.txt", encoding="ascii", system=LINUX), FileResult("dc1.txt", system=WINDOWS)], ()
        )
        sheet = opened(scan)["Systems Summary"]
        assert sheet["A1"].value == "Systems Summary (1 systems discovered)"
        assert rows(sheet, 2, 12) == [
            [
                "System Name", "OS Family", "Producer", "Producer Version", "Linux Family", "OS Pretty Name",
                "OS Version", "Product Name", "Release ID", "Current Build", "File Path", "File Encoding",
            ],
            [
                "web1", "Linux", "KPNIXAUDIT", "0.6.22", "deb", "Ubuntu 22.04", "22.04", "N/A", "N/A", "N/A",
                "a/web1.txt", "ascii",
            ],
        ]  # fmt: skip


class TestFamilies:
    RULES = (
        Rule("lin", "x", sys_filter=FAMILY["Linux"]),
        Rule("win", "x", sys_filter=FAMILY["Windows"]),
        Rule("both", "x", sys_filter=(SysFilter("os_family", "in", ("Linux", "Windows")),)),
        Rule("any", "x"),
    )

    def scan(self, compat: str | None = None) -> ScanResult:
        lin, win, both, every = self.RULES
        files = [
            FileResult("web1.txt", system=LINUX, hits=(hits(lin, "l"), hits(both, "bl"), hits(every, "al"))),
            FileResult("dc1.txt", system=WINDOWS, hits=(hits(win, "w"), hits(both, "bw"), hits(every, "aw"))),
        ]
        return several(files, self.RULES, compat=compat)

    def test_a_workbook_has_the_rows_of_its_own_systems(self) -> None:
        book = opened(self.scan())
        assert book.sheetnames == ["Summary", "Systems Summary", "any", "both", "lin"]
        assert [row[2] for row in rows(book["both"], 4, 3)] == ["bl"]
        assert [row[2] for row in rows(opened(self.scan(), "Windows")["any"], 4, 3)] == ["aw"]

    def test_under_compat_rules_of_several_families_have_all_rows_and_those_of_none_no_sheet(self) -> None:
        book = opened(self.scan("kpat"))
        assert book.sheetnames == ["Summary", "Systems Summary", "both", "lin"]
        assert [row[2] for row in rows(book["both"], 4, 3)] == ["bl", "bw"]

    def test_families_without_a_system_have_no_workbook(self) -> None:
        assert list(workbooks(self.scan())) == ["Linux", "Windows"]


class TestFindings:
    def test_have_a_row_for_each_check_of_each_system_of_the_family(self) -> None:
        none = Rule("none", "x", expect="none", severity="error", comment="No root.", sheet="Findings")
        some = Rule("some", "x", expect="some")
        plain = Rule("plain", "x")
        files = [
            FileResult("web1.txt", system=LINUX, hits=(hits(none, "a", "b"), hits(some), hits(plain, "c"))),
            FileResult("dc1.txt", system=WINDOWS, hits=(hits(none), RuleHits(some, (), "timeout", "slow"))),
        ]
        scan = several(files, (none, some, plain))
        book = opened(scan)
        assert book.sheetnames == ["Summary", "Systems Summary", "Findings", "Findings (2)", "plain", "some"]
        assert rows(book["Findings"], 1, 7) == [
            ["Findings (2 of 2 checks)", *[None] * 6],
            ["Rule", "Severity", "Expected", "Result", "System Name", "Matches", "Comment"],
            ["none", "error", "none", "FAIL", "web1", 2, "No root."],
            ["some", "warning", "some", "FAIL", "web1", 0, ""],
        ]
        assert [row[3] for row in rows(opened(scan, "Windows")["Findings"], 3, 7)] == ["pass", "timeout"]

    def test_are_no_sheet_where_no_rule_is_a_check(self) -> None:
        assert "Findings" not in opened(result(hits(SSH, "a"))).sheetnames


class TestNotices:
    def test_tell_what_is_not_in_the_other_sheets(self) -> None:
        slow = RuleHits(SSH, (), "timeout", "took longer than it may")
        files = [
            FileResult("web1.txt", system=LINUX, hits=(slow, hits(Rule("long", "x"), "y" * 40_000))),
            FileResult("README.txt", status="skipped", reason="not an audit report"),
        ]
        scan = several(files, (SSH, files[0].hits[1].rule))
        book = opened(scan)
        assert book.sheetnames[-1] == "Notices"
        assert rows(book["Notices"], 2, 3) == [
            ["Kind", "Where", "Notice"],
            ["skipped", "README.txt", "not an audit report"],
            ["timeout", "web1.txt, rule ssh", "took longer than it may"],
            ["truncated", "long", "1 too long for a cell and cut: C4"],
        ]
        cut = book["long"]["C4"].value
        assert cut.endswith("[cut, 40000 characters; whole text in results.jsonl]")

    def test_count_what_they_do_not_list(self) -> None:
        book = opened(result(hits(Rule("long", "x"), *["y" * 40_000] * 22)))
        assert book["Notices"]["C3"].value.endswith("C23 and others")

    def test_there_is_no_sheet_without_any(self) -> None:
        assert "Notices" not in opened(result(hits(SSH, "a"))).sheetnames


class TestLimits:
    def test_more_rows_than_a_sheet_takes_go_on_in_another(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("fanwise.workloads.auditscan._contents.MOST_ROWS", 7)
        book = opened(result(hits(Rule("r", "x", sheet="Many"), *"abcdefghij")))
        assert book.sheetnames == ["Summary", "Systems Summary", "Many", "Many (2)", "Many (3)", "Notices"]
        texts = [[row[2] for row in rows(book[name], 4, 3)] for name in book.sheetnames[2:5]]
        assert texts == [list("abcd"), list("efgh"), list("ij")]
        assert book["Many (2)"].tables.popitem()[1].ref == "A3:C7"
        assert rows(book["Summary"], 3)[0][2:4] == ["Many", 10]
        assert [row[1:] for row in rows(book["Notices"], 3, 3)] == [
            ["Many (2)", "goes on from result 5: a sheet takes 7 rows"],
            ["Many (3)", "goes on from result 9: a sheet takes 7 rows"],
        ]

    @pytest.mark.slow
    def test_the_last_row_of_a_full_sheet_is_row_1048576(self) -> None:
        class Thin:
            """Rows that take no memory."""

            def __iter__(self) -> Iterator[tuple[str, int, str]]:
                return (("s", n, "t") for n in range(MOST_ROWS - 3))

        sheet = Sheet("Full", ("a", "b", "c"), MOST_ROWS - 3, header_row=3, table="T")
        done = render(sheet, Thin())
        assert sheet.area == "A3:C1048576"
        import zlib

        xml = zlib.decompress(done.member.data, -15)
        assert xml.count(b"<row ") == MOST_ROWS - 2
        assert b'<row r="1048576"' in xml
        assert len(xml) == done.member.size
        assert zlib.crc32(xml) == done.member.crc

    def test_more_than_20000_rows_are_read_as_they_are_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        scan = result(hits(SSH, *(("t", {"key": str(n)}) for n in range(50))))
        at_once = workbooks(scan)
        monkeypatch.setattr("fanwise.workloads.auditscan._contents._KEEP_ROWS", 10)
        assert workbooks(scan) == at_once

    def test_too_many_columns_are_an_error(self) -> None:
        names = tuple(f"f{n}" for n in range(16_379))
        with pytest.raises(InputError, match="16,379 columns"):
            workbooks(result(hits(Rule("wide", "x", field_list=names), ("a", {}))))
        assert "Linux" in workbooks(result(hits(Rule("wide", "x", field_list=names[:16_378]), ("a", {}))))


def test_bytes_are_the_same_every_time() -> None:
    scan = result(hits(SSH, ("a", {"key": "é"})))
    assert workbooks(scan) == workbooks(scan)


nasty = st.text(st.sampled_from("=+-@<>&\"'_x000D_\x00\x0b\t\n\r é😀\ufffea"), max_size=12)


@settings(max_examples=60)
@given(
    nasty,
    nasty,
    st.lists(st.tuples(nasty, st.none() | st.dictionaries(st.sampled_from(["key", "value"]), nasty)), max_size=3),
)
def test_any_text_gives_a_workbook_without_formulas_that_parses(name: str, comment: str, found: list) -> None:
    rule = Rule(name, "x", comment=comment, sheet=name, topic=comment, field_list=("key", "value", name))
    data = workbooks(result(hits(rule, *found), hits(Rule(name, "y", sheet=name))))["Linux"]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.namelist():
            ET.fromstring(archive.read(member))
    book = openpyxl.load_workbook(io.BytesIO(data))
    assert len(book.sheetnames) == len({s.casefold() for s in book.sheetnames})
    for sheet in book:
        for row in sheet.iter_rows():
            assert {cell.data_type for cell in row} <= {"s", "n"}
    tables = [table for sheet in book for table in sheet.tables.values()]
    assert len({table.displayName for table in tables}) == len(tables)
    for sheet in book:
        for table in sheet.tables.values():
            header = sheet[table.ref.split(":")[0]].row
            names = [cell.value for cell in sheet[header]][: len(table.tableColumns)]
            assert [column.name for column in table.tableColumns] == names


def test_every_part_that_is_named_is_there() -> None:
    scan = result(hits(SSH, "a"), hits(Rule("r", "x")))
    with zipfile.ZipFile(io.BytesIO(workbooks(scan)["Linux"])) as archive:
        names = set(archive.namelist())
        types = ET.fromstring(archive.read("[Content_Types].xml"))
        parts = {e.get("PartName").lstrip("/") for e in types if e.get("PartName")}
        assert parts <= names
        assert {n for n in names if not n.endswith(".rels")} - {"[Content_Types].xml"} == parts
        for name in names:
            if name.endswith(".rels"):
                base = name.split("_rels/")[0]
                for relation in ET.fromstring(archive.read(name)):
                    target = relation.get("Target")
                    path = "xl/" + target.removeprefix("../") if target.startswith("../") else base + target
                    assert path in names


def test_a_link_doubles_apostrophes() -> None:
    assert location_of("it's") == "'it''s'!A1"


def test_matches_may_come_from_anywhere() -> None:
    scan = result(RuleHits(SSH, [Match(5, "a", {"value": "v"})]))
    assert [c.value for c in opened(scan).worksheets[2][4]][:5] == ["web1", 5, "a", "", "v"]


texts = st.text("ab=<&>\"'_x0041 \n\té", max_size=8)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=6),
    st.sampled_from(["Network", "Users", "", "Ünïcode"]),
)
def test_what_is_written_is_read_back(found: list[tuple[str, str, str]], topic: str) -> None:
    rule = Rule("r", "x", field_list=("key", "value"), topic=topic or None, comment="c\nd")
    sheet = opened(result(hits(rule, *((text, {"key": key, "value": value}) for text, key, value in found))))["r"]
    back = [[cell.value or "" for cell in row[:5]] for row in sheet.iter_rows(min_row=4, max_row=3 + len(found))]
    wanted = [["web1", number, *(escaped(text) for text in row)] for number, row in enumerate(found, 1)]
    assert back == wanted


def escaped(text: str) -> str:
    """As a reader sees it that does not undo Excel's own escape of ``_x0041_``."""
    return re.sub(r"_(?=x[0-9A-Fa-f]{4}_)", "_x005F_", text)


class TestSheetParts:
    def parts(self, scan: ScanResult) -> ET.Element:
        with zipfile.ZipFile(io.BytesIO(workbooks(scan)["Linux"])) as archive:
            return ET.fromstring(archive.read("xl/worksheets/sheet3.xml"))

    def named(self, root: ET.Element, name: str) -> ET.Element:
        found = root.find(f"{{http://schemas.openxmlformats.org/spreadsheetml/2006/main}}{name}")
        assert found is not None, name
        return found

    def test_come_in_the_order_that_excel_insists_on(self) -> None:
        root = self.parts(result(hits(SSH, ("a", {"key": "b"}))))
        names = [element.tag.rpartition("}")[2] for element in root]
        order = [
            "sheetPr", "dimension", "sheetViews", "sheetFormatPr", "cols", "sheetData", "mergeCells", "pageMargins", "tableParts",
        ]  # fmt: skip
        assert names == order

    def test_the_dimension_holds_every_cell(self) -> None:
        for count in (0, 1, 30):
            root = self.parts(result(hits(SSH, *["x"] * count)))
            area = self.named(root, "dimension").get("ref")
            last = area.rpartition(":")[2]
            cells = [cell.get("r") for row in self.named(root, "sheetData") for cell in row]
            column = max(re.sub(r"\d", "", cell) for cell in cells)
            row = max(int(re.sub(r"\D", "", cell)) for cell in cells)
            assert last == f"{column}{row}"

    def test_rows_and_cells_ascend(self) -> None:
        root = self.parts(result(hits(SSH, *["x"] * 20)))
        rows_found = list(self.named(root, "sheetData"))
        numbers = [int(row.get("r")) for row in rows_found]
        assert numbers == sorted(set(numbers))
        for row in rows_found:
            columns = [re.sub(r"\d", "", cell.get("r")) for cell in row]
            assert columns == sorted(columns)
            assert all(cell.get("r").endswith(row.get("r")) for cell in row)

    def test_every_column_has_a_width_between_10_and_50(self) -> None:
        root = self.parts(result(hits(SSH, ("y" * 400, {"key": "k", "value": "v" * 30}))))
        widths = [float(column.get("width")) for column in self.named(root, "cols")]
        assert widths[:5] == [13, 13, 50, 10, 32]
        assert all(10 <= width <= 50 for width in widths)


def test_topics_share_their_colours_between_summary_and_tabs() -> None:
    rules = [Rule(f"r{n}", "x", sheet=f"{n:02}", topic=f"T{n % 3}") for n in range(6)]
    book = opened(result(*(hits(rule) for rule in rules)))
    tabs = [sheet.sheet_properties.tabColor.rgb for sheet in book.worksheets[2:]]
    tints = [book["Summary"].cell(n, 1).fill.fgColor.rgb for n in range(3, 9)]
    assert len(set(tabs)) == len(set(tints)) == 3
    assert [tabs.index(tab) for tab in tabs] == [tints.index(tint) for tint in tints]


def test_more_topics_than_colours_go_around() -> None:
    summary = opened(result(*(hits(Rule(f"r{n:02}", "x", topic=f"{n:02}")) for n in range(14))))["Summary"]
    tints = [summary.cell(n, 1).fill.fgColor.rgb for n in range(3, 17)]
    assert tints[12:] == tints[:2]
    assert len(set(tints)) == 12
