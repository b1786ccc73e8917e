from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from fanwise.report._markup import Markup, join, table, tag


def test_text_is_escaped_and_markup_is_not():
    assert tag("p", "a < b & c") == "<p>a &lt; b &amp; c</p>"
    assert tag("p", tag("b", "x>y")) == "<p><b>x&gt;y</b></p>"
    assert join(["<i>", Markup("<i>")], " | ") == "&lt;i&gt; | <i>"


def test_attributes_are_escaped_and_named_as_in_html():
    assert tag("td", class_="n", aria_label='"x"') == '<td class="n" aria-label="&quot;x&quot;"></td>'
    assert tag("td", class_=None) == "<td></td>"


def test_coordinates_have_a_tenth_of_a_pixel():
    assert tag("line", x1=1.0, x2=2.345, y1=7) == '<line x1="1" x2="2.3" y1="7"></line>'


def test_a_table_names_its_rows_and_columns():
    made = table("Costs <s>", ("Item", "Cost"), [("a", "1"), ("b & c", Markup("<i>2</i>"))], numbers=[1])
    assert "<caption>Costs &lt;s&gt;</caption>" in made
    assert '<th scope="col">Item</th><th scope="col" class="n">Cost</th>' in made
    assert '<tr><th scope="row">b &amp; c</th><td class="n"><i>2</i></td></tr>' in made


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[str | None] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [value for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text(alphabet=st.characters(exclude_characters="\r\0", exclude_categories=["Cs"])))
def test_whatever_is_written_reads_back_as_text(text: str) -> None:
    reader = Reader()
    reader.feed(tag("p", text, title=text))
    reader.close()
    assert (reader.tags, reader.text, reader.attributes) == (["p"], text, [text])
