"""The parts of a workbook around its sheets: what there is, how they hang together, tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from fanwise.workloads.auditscan._cells import attribute
from fanwise.workloads.auditscan._sheet import Sheet
from fanwise.workloads.auditscan._styles import styles_xml
from fanwise.workloads.auditscan._zip import Deflated, ZipWriter, deflate

__all__ = ["location_of", "write_workbook"]

_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def location_of(sheet_name: str) -> str:
    """Where an internal hyperlink to a sheet leads; an apostrophe in the name is doubled."""
    return "'" + sheet_name.replace("'", "''") + "'!A1"


def write_workbook(file: BinaryIO, sheets: Iterable[tuple[Sheet, Deflated]]) -> None:
    """Write a workbook; the sheets may be made while it is written."""
    archive = ZipWriter(file)
    archive.add("_rels/.rels", deflate([_relations([("officeDocument", "xl/workbook.xml")])]))
    archive.add("xl/styles.xml", deflate([styles_xml()]))
    written: list[Sheet] = []
    for number, (sheet, member) in enumerate(sheets, 1):
        archive.add(f"xl/worksheets/sheet{number}.xml", member)
        if sheet.table:
            archive.add(
                f"xl/worksheets/_rels/sheet{number}.xml.rels",
                deflate([_relations([("table", f"../tables/table{number}.xml")])]),
            )
            archive.add(f"xl/tables/table{number}.xml", deflate([_table(number, sheet)]))
        written.append(sheet)
    archive.add("xl/workbook.xml", deflate([_book(written)]))
    targets = [("worksheet", f"worksheets/sheet{n}.xml") for n in range(1, len(written) + 1)]
    archive.add("xl/_rels/workbook.xml.rels", deflate([_relations([*targets, ("styles", "styles.xml")])]))
    archive.add("[Content_Types].xml", deflate(_content_types(written)))
    archive.close()


def _relations(targets: Sequence[tuple[str, str]]) -> str:
    entries = (
        f'<Relationship Id="rId{n}" Type="{_OFFICE}/{kind}" Target="{to}"/>' for n, (kind, to) in enumerate(targets, 1)
    )
    return f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">{"".join(entries)}</Relationships>'


def _book(sheets: Sequence[Sheet]) -> str:
    entries = (f'<sheet name="{attribute(s.name)}" sheetId="{n}" r:id="rId{n}"/>' for n, s in enumerate(sheets, 1))
    return (
        f'{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><bookViews><workbookView activeTab="0"/></bookViews>'
        f"<sheets>{''.join(entries)}</sheets></workbook>"
    )


def _table(number: int, sheet: Sheet) -> str:
    columns = (f'<tableColumn id="{n}" name="{attribute(name)}"/>' for n, name in enumerate(sheet.columns, 1))
    return (
        f'{_HEAD}<table xmlns="{_MAIN}" id="{number}" name="{sheet.table}" displayName="{sheet.table}" '
        f'ref="{sheet.area}" totalsRowShown="0"><autoFilter ref="{sheet.area}"/>'
        f'<tableColumns count="{len(sheet.columns)}">{"".join(columns)}</tableColumns>'
        '<tableStyleInfo name="TableStyleMedium9" showFirstColumn="0" showLastColumn="0" showRowStripes="1" '
        'showColumnStripes="0"/></table>'
    )


def _content_types(sheets: Sequence[Sheet]) -> Iterator[str]:
    yield f'{_HEAD}<Types xmlns="{_PACKAGE}/content-types">'
    yield '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    yield '<Default Extension="xml" ContentType="application/xml"/>'
    yield f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
    yield f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>'
    for number, sheet in enumerate(sheets, 1):
        yield f'<Override PartName="/xl/worksheets/sheet{number}.xml" ContentType="{_TYPE}.worksheet+xml"/>'
        if sheet.table:
            yield f'<Override PartName="/xl/tables/table{number}.xml" ContentType="{_TYPE}.table+xml"/>'
    yield "</Types>"
