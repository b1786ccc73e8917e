"""Looks of a workbook: fonts, fills, cell formats, and the colour of each topic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = ["Style", "styles_xml", "topic_numbers"]

# Twelve tints and the tab colours that go with them, chosen to be told apart and to keep black text readable.
PALETTE = (
    ("DCE9F7", "2E75B6"),
    ("E3F1DA", "548235"),
    ("FDEBD9", "C55A11"),
    ("EFE3F4", "7B3F98"),
    ("FFF4CC", "B58900"),
    ("DDF3F1", "1B7F79"),
    ("FBE0E4", "B0324C"),
    ("E8E8E8", "5F5F5F"),
    ("E6E4FA", "4B46B3"),
    ("F1EBDD", "7F6000"),
    ("DFF0E8", "1E6B45"),
    ("F8E1F1", "A0287C"),
)


class Style:
    """Numbers of the cell formats in `styles_xml`."""

    TITLE = 1
    COMMENT = 2
    HEADER = 3
    DATA = 4
    LABEL = 5
    FAINT = 6
    LINK = 7
    TINTED = 8  # and one for each colour of the palette
    TINTED_LINK = TINTED + len(PALETTE)


def topic_numbers(topics: Iterable[str]) -> Mapping[str, int]:
    """The colour of each topic: by sorted name, around the palette."""
    return {topic: number % len(PALETTE) for number, topic in enumerate(sorted(set(topics)))}


def tab_colour(number: int) -> str:
    """RGB of a topic's sheet tabs."""
    return PALETTE[number][1]


_FONTS = (
    '<font><sz val="11"/><name val="Calibri"/><family val="2"/></font>',
    '<font><b/><sz val="16"/><color rgb="FF1F497D"/><name val="Calibri"/><family val="2"/></font>',
    '<font><i/><sz val="9"/><color rgb="FF1F497D"/><name val="Calibri"/><family val="2"/></font>',
    '<font><b/><sz val="11"/><name val="Calibri"/><family val="2"/></font>',
    '<font><b/><sz val="10"/><name val="Calibri"/><family val="2"/></font>',
    '<font><i/><sz val="11"/><color rgb="FF808080"/><name val="Calibri"/><family val="2"/></font>',
    '<font><u/><sz val="11"/><color rgb="FF0000FF"/><name val="Calibri"/><family val="2"/></font>',
)
_TOP_LEFT = '<alignment horizontal="left" vertical="top" wrapText="1"/>'
_PLAIN_FONTS = (1, 2, 3, 0, 4, 5, 6)  # of TITLE to LINK


def _format(font: int, fill: int = 0, *, wrapped: bool = True) -> str:
    marks = f'numFmtId="0" fontId="{font}" fillId="{fill}" borderId="0" xfId="0" applyFont="1" applyFill="1"'
    return f'<xf {marks} applyAlignment="1">{_TOP_LEFT}</xf>' if wrapped else f"<xf {marks}/>"


def styles_xml() -> str:
    """The ``styles.xml`` of every workbook."""
    fills = ['<fill><patternFill patternType="none"/></fill>', '<fill><patternFill patternType="gray125"/></fill>']
    fills += [
        f'<fill><patternFill patternType="solid"><fgColor rgb="FF{tint}"/><bgColor indexed="64"/></patternFill></fill>'
        for tint, _ in PALETTE
    ]
    formats = ['<xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>']
    formats += [_format(font, wrapped=font != 1) for font in _PLAIN_FONTS]
    formats += [_format(font, 2 + n) for font in (0, 6) for n in range(len(PALETTE))]
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        f'<fonts count="{len(_FONTS)}">{"".join(_FONTS)}</fonts>'
        f'<fills count="{len(fills)}">{"".join(fills)}</fills>'
        '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
        '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
        f'<cellXfs count="{len(formats)}">{"".join(formats)}</cellXfs>'
        '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
        '<dxfs count="0"/><tableStyles count="0" defaultTableStyle="TableStyleMedium9"/>'
        "</styleSheet>"
    )
