"""One worksheet as XML: a title, a table of rows, facts beside it; text row by row, never cell objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice, repeat

from fanwise.workloads.auditscan._cells import attribute, cell_xml, column_letters, is_plain
from fanwise.workloads.auditscan._styles import Style
from fanwise.workloads.auditscan._zip import Deflated, deflate

__all__ = ["MOST_COLUMNS", "MOST_ROWS", "Cell", "Rendered", "Sheet", "render"]

MOST_ROWS = 1_048_576
MOST_COLUMNS = 16_384
_AT_ONCE = 500  # rows handed to the compressor together
_TOLD_CUTS = 20

Cell = str | int
Row = tuple[Cell, ...]

_CELL = {
    str: f'<c r="%s%%d" s="{Style.DATA}" t="inlineStr"><is><t xml:space="preserve">%%s</t></is></c>',
    int: f'<c r="%s%%d" s="{Style.DATA}"><v>%%d</v></c>',
}

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a sheet holds besides its rows.

    Attributes
    ----------
    title, title_style, title_height, title_columns
        Cell A1, its looks, the height of its row in points (0: as it comes) and over how many columns it is merged.
    columns : tuple of str
        Headings, in row ``header_row``.
    count : int
        Number of rows that follow the headings.
    table : str or None
        Name of the Excel table; None: plain cells.
    side : tuple of (label, value)
        Facts to the right of the table, one empty column between, from the header row down.
    row_styles : tuple of tuple of int
        Cell formats of each row, one a column; empty: all as data.
    links : tuple of (cell, location)
        Internal hyperlinks.
    """

    name: str
    columns: tuple[str, ...]
    count: int
    header_row: int = 2
    title: str | None = None
    title_style: int = Style.TITLE
    title_height: int = 0
    title_columns: int = 1
    table: str | None = None
    tab: str | None = None
    side: tuple[tuple[str, Cell], ...] = ()
    row_styles: tuple[tuple[int, ...], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    header_style: int = Style.HEADER
    least_width: int = 10

    @property
    def last_row(self) -> int:
        return self.header_row + self.count

    @property
    def area(self) -> str:
        """The cells of the table, headings included."""
        return f"A{self.header_row}:{column_letters(len(self.columns))}{self.last_row}"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished worksheet, how many cells were too long for Excel, and the first of them."""

    member: Deflated
    cuts: int = 0
    first_cuts: tuple[str, ...] = ()


def render(sheet: Sheet, rows: Iterable[Row]) -> Rendered:
    """The worksheet, compressed. ``rows`` is gone through twice: column widths come before the cells."""
    writer = _Writer(sheet)
    member = deflate(writer.document(rows))
    return Rendered(member, writer.cuts, tuple(writer.first_cuts))


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    walk = iter(rows)
    while batch := list(islice(walk, _AT_ONCE)):
        yield batch


@dataclass(slots=True)
class _Writer:
    sheet: Sheet
    cuts: int = 0
    first_cuts: list[str] = field(default_factory=list)
    _templates: dict[tuple[type, ...], str] = field(default_factory=dict)
    _letters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._letters = tuple(map(column_letters, range(1, len(self.sheet.columns) + 1)))

    def document(self, rows: Iterable[Row]) -> Iterator[str]:
        sheet = self.sheet
        yield from self._head(rows)
        yield from self._rows(rows)
        yield "</sheetData>"
        if sheet.title_columns > 1 and sheet.title is not None:
            yield f'<mergeCells count="1"><mergeCell ref="A1:{column_letters(sheet.title_columns)}1"/></mergeCells>'
        if sheet.links:
            links = (f'<hyperlink ref="{cell}" location="{attribute(where)}"/>' for cell, where in sheet.links)
            yield f"<hyperlinks>{''.join(links)}</hyperlinks>"
        yield '<pageMargins left="0.7" right="0.7" top="0.75" bottom="0.75" header="0.3" footer="0.3"/>'
        if sheet.table:
            yield '<tableParts count="1"><tablePart r:id="rId1"/></tableParts>'
        yield "</worksheet>"

    def _head(self, rows: Iterable[Row]) -> Iterator[str]:
        sheet = self.sheet
        last_column = len(sheet.columns) + 3 if sheet.side else len(sheet.columns)
        last_row = max(sheet.last_row, sheet.header_row + len(sheet.side) - 1)
        yield '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        yield f'<worksheet xmlns="{_MAIN}" xmlns:r="{_RELATIONS}">'
        if sheet.tab:
            yield f'<sheetPr><tabColor rgb="FF{sheet.tab}"/></sheetPr>'
        yield f'<dimension ref="A1:{column_letters(max(last_column, sheet.title_columns))}{last_row}"/>'
        yield '<sheetViews><sheetView workbookViewId="0"/></sheetViews><sheetFormatPr defaultRowHeight="15"/>'
        widths = chain(self._widths(rows), self._side_widths())
        columns = (f'<col min="{n}" max="{n}" width="{w}" customWidth="1"/>' for n, w in enumerate(widths, 1))
        yield f"<cols>{''.join(columns)}</cols><sheetData>"

    def _widths(self, rows: Iterable[Row]) -> list[int]:
        longest = [len(name) for name in self.sheet.columns]
        for batch in _batches(rows):
            for n, column in enumerate(zip(*batch, strict=True)):
                widest = max(map(len, map(str, column)))
                longest[n] = max(longest[n], widest)
        return [min(max(n + 2, self.sheet.least_width), 50) for n in longest]

    def _side_widths(self) -> list[int]:
        side = self.sheet.side
        parts = [max(len(str(pair[n])) for pair in side) for n in (0, 1)] if side else []
        return [10, *(min(max(n + 2, 10), 50) for n in parts)] if parts else []

    def _rows(self, rows: Iterable[Row]) -> Iterator[str]:
        sheet = self.sheet
        if sheet.title is not None:
            height = f' ht="{sheet.title_height}" customHeight="1"' if sheet.title_height else ""
            yield f'<row r="1"{height}>{self._cell("A", 1, sheet.title, sheet.title_style)}</row>'
        heads = [
            self._cell(column_letters(n), sheet.header_row, name, sheet.header_style)
            for n, name in enumerate(sheet.columns, 1)
        ]
        side = self._side_cells()
        yield f'<row r="{sheet.header_row}">{"".join(heads)}{side.pop(sheet.header_row, "")}</row>'
        yield from self._data(rows, side)
        yield from (f'<row r="{row}">{cells}</row>' for row, cells in side.items())

    def _side_cells(self) -> dict[int, str]:
        """Cells of label and value by row."""
        left = len(self.sheet.columns) + 2
        label, value = column_letters(left), column_letters(left + 1)
        pairs = enumerate(self.sheet.side, self.sheet.header_row)
        return {n: self._cell(label, n, a, Style.LABEL) + self._cell(value, n, b, Style.DATA) for n, (a, b) in pairs}

    def _data(self, rows: Iterable[Row], side: dict[int, str]) -> Iterator[str]:
        number, row_xml = self.sheet.header_row, self._styled_row if self.sheet.row_styles else self._row
        for batch in _batches(rows):
            out = []
            for row in batch:
                number += 1
                out.append(row_xml(number, row, side.pop(number, "") if side else ""))
            yield "".join(out)

    def _row(self, number: int, row: Row, more: str) -> str:
        """A row of plain cells. Most rows need no escaping: one test of all texts, then one template for all cells."""
        texts = "".join(map(str, row))
        if not is_plain(texts):
            return self._any_row(number, row, repeat(Style.DATA), more)
        cells = chain.from_iterable(zip(repeat(number), row, strict=False))
        return self._template(row) % (number, *cells, more)

    def _template(self, row: Row) -> str:
        kinds = tuple(map(type, row))
        if kinds not in self._templates:
            cells = (_CELL[kind] % column_letters(n) for n, kind in enumerate(kinds, 1))
            self._templates[kinds] = f'<row r="%d" ht="15" customHeight="1">{"".join(cells)}%s</row>'
        return self._templates[kinds]

    def _styled_row(self, number: int, row: Row, more: str) -> str:
        return self._any_row(number, row, self.sheet.row_styles[number - self.sheet.header_row - 1], more)

    def _any_row(self, number: int, row: Row, styles: Iterable[int], more: str) -> str:
        cells = map(self._cell, self._letters, repeat(number), row, styles)
        return f'<row r="{number}" ht="{_height(row)}" customHeight="1">{"".join(cells)}{more}</row>'

    def _cell(self, column: str, row: int, value: Cell, style: int) -> str:
        if isinstance(value, int):
            return f'<c r="{column}{row}" s="{style}"><v>{value}</v></c>'
        xml, was_cut = cell_xml(value)
        if was_cut:
            self._told_cut(f"{column}{row}")
        return f'<c r="{column}{row}" s="{style}" t="inlineStr"><is><t xml:space="preserve">{xml}</t></is></c>'

    def _told_cut(self, cell: str) -> None:
        self.cuts += 1
        if len(self.first_cuts) < _TOLD_CUTS:
            self.first_cuts.append(cell)


def _height(row: Row) -> int:
    """Points: 15 a line of the cell with most lines, at most 100."""
    lines = max([value.count("\n") for value in row if isinstance(value, str)], default=0) + 1
    return min(15 * lines, 100)
