"""Bytes to text: marks, wide text without marks, the fallback, line ends, what is no text."""

from __future__ import annotations

import codecs
import io
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.workloads.auditscan._decode import Decoded, NotText, decode
from fanwise.workloads.auditscan._lines import Lines

TEXT = "KPNIXVERSION: 0.6\nUsers::José\nlast"


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_byte_order_mark_decides_and_is_dropped(mark: bytes, encoding: str) -> None:
    found = decode(mark + TEXT.encode(encoding))
    assert (found.text, found.encoding) == (TEXT, encoding)


def test_under_compat_the_mark_of_utf8_stays() -> None:
    assert decode(codecs.BOM_UTF8 + b"abc", compat="kpat").text == "\ufeffabc"
    assert decode(codecs.BOM_UTF16_LE + "abc".encode("utf-16-le"), compat="kpat").text == "abc"


def test_damage_after_a_mark_becomes_replacement_characters() -> None:
    assert decode(codecs.BOM_UTF8 + b"a\xffb").text == "a\ufffdb"
    assert decode(codecs.BOM_UTF16_LE + b"a\0b").text == "a\ufffd"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_wide_text_without_a_mark_is_known_by_its_zeros(encoding: str) -> None:
    found = decode(("KPWINVERSION: 0.4.8\r\n" * 20).encode(encoding))
    assert found.encoding == encoding
    assert found.text.startswith("KPWINVERSION: 0.4.8\nKPWIN")


@pytest.mark.parametrize(
    ("data", "encoding", "text"),
    [
        (b"plain", "ascii", "plain"),
        ("é".encode(), "utf-8", "é"),
        (b"caf\xe9 \x80", "cp1252", "café €"),
        (b"\x81\x8d", "cp1252", "\ufffd\ufffd"),
        (b"a" + b" " * 9000 + b"\0", "ascii", "a" + " " * 9000 + "\0"),
    ],
)
def test_narrow_text(data: bytes, encoding: str, text: str) -> None:
    found = decode(data)
    assert (found.encoding, found.text) == (encoding, text)


def tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"), io.BytesIO(b""))
    return out.getvalue()


def zipped(names: list[str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"some text and then\0bytes", "binary file"),
        (b"\x7fELF\x02\x01\x01\0" + b"\0" * 9, "binary file"),
        (b"\x1f\x8b\x08rest", "archive; unpack it first"),
        (zipped(["a"]), "archive; unpack it first"),
        (zipped([]), "archive; unpack it first"),
        (tar(), "archive; unpack it first"),
        (b"7z\xbc\xaf\x27\x1crest", "archive; unpack it first"),
        (b"\xfd7zXZ\0rest", "archive; unpack it first"),
        (b"\x28\xb5\x2f\xfdrest", "archive; unpack it first"),
    ],
)
def test_what_is_no_text_is_skipped(data: bytes, reason: str) -> None:
    with pytest.raises(NotText) as caught:
        decode(data)
    assert caught.value.reason == reason
    assert not caught.value.failed


class TestNamedEncoding:
    def test_overrides_what_would_be_found(self) -> None:
        assert decode("é".encode(), "latin-1").text == "Ã©"
        assert decode("abc".encode("utf-16"), "utf-16").text == "abc"

    def test_its_mark_is_dropped_but_not_under_compat(self) -> None:
        assert decode(codecs.BOM_UTF8 + b"a", "utf-8").text == "a"
        assert decode(codecs.BOM_UTF8 + b"a", "utf-8", compat="kpat").text == "\ufeffa"

    def test_bytes_that_are_not_in_it_fail_with_their_place(self) -> None:
        with pytest.raises(NotText) as caught:
            decode(b"a" * 1234 + b"\xff", "utf-8")
        assert caught.value.reason == "not utf-8: invalid start byte at byte 1,234"
        assert caught.value.failed

    def test_a_missing_mark_fails(self) -> None:
        with pytest.raises(NotText, match="not utf-16"):
            decode(b"abc", "utf-16")

    def test_an_archive_is_still_an_archive(self) -> None:
        with pytest.raises(NotText, match="archive"):
            decode(b"PK\x03\x04", "latin-1")

    def test_half_pairs_become_replacement_characters(self) -> None:
        assert decode(rb"a\ud800b", "raw_unicode_escape").text == "a\ufffdb"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_each_line_end_becomes_one(end: str) -> None:
    assert decode(f"a{end}é{end}{end}c".encode()).text == "a\né\n\nc"
    assert decode(f"a{end}b{end}{end}c".encode()).text == "a\nb\n\nc"


@pytest.mark.parametrize("cut", list("\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"))
def test_nothing_else_ends_a_line(cut: str) -> None:
    assert Lines(decode(f"a{cut}b\nc".encode())).texts == [f"a{cut}b\n", "c"]


@given(st.text())
def test_lines_put_together_are_the_text(text: str) -> None:
    decoded = Decoded.of(text)
    lines = Lines(decoded).texts
    assert "".join(lines) == decoded.text
    assert all("\n" not in line[:-1] for line in lines)
    assert [line for line in lines[:-1] if not line.endswith("\n")] == []


@given(st.text())
def test_folding_keeps_length_and_touches_ascii_letters_only(text: str) -> None:
    decoded = Decoded.of(text)
    folded = decoded.folded.decode()
    assert len(folded) == len(decoded.text)
    for one, other in zip(decoded.text, folded, strict=True):
        assert other == (one.lower() if one.isascii() else one)


@given(st.binary(max_size=60))
def test_any_bytes_become_text_or_a_verdict(data: bytes) -> None:
    try:
        text = decode(data).text
    except NotText as verdict:
        text = verdict.reason
    assert text
    assert "\r" not in text


@given(st.text(st.characters(exclude_characters="\0\ufeff", exclude_categories=["Cs"]), min_size=1))
def test_valid_utf8_is_read_as_such(text: str) -> None:
    data = text.encode()
    if data[:2] == b"\x1f\x8b":
        return
    assert decode(data).text == Decoded.of(text).text


class TestThresholds:
    """Where text without a mark is taken for UTF-16: at least 30 % zeros in one half of the bytes, below 5 % in the other."""

    def made(self, zeros_even: int, zeros_odd: int, pairs: int = 100) -> bytes:
        return b"".join(
            (b"\0" if n < zeros_even else b"a") + (b"\0" if n >= pairs - zeros_odd else b"b") for n in range(pairs)
        )

    @pytest.mark.parametrize(
        ("even", "odd", "encoding"),
        [(30, 0, "utf-16-be"), (0, 30, "utf-16-le"), (30, 4, "utf-16-be"), (4, 30, "utf-16-le"), (100, 0, "utf-16-be")],
    )
    def test_enough_zeros_in_one_half(self, even: int, odd: int, encoding: str) -> None:
        assert decode(self.made(even, odd)).encoding == encoding

    @pytest.mark.parametrize(("even", "odd"), [(29, 0), (0, 29), (30, 5), (5, 30), (50, 50), (1, 0)])
    def test_too_few_or_in_both(self, even: int, odd: int) -> None:
        with pytest.raises(NotText, match="binary file"):
            decode(self.made(even, odd))

    def test_only_the_first_four_kilobytes_are_asked(self) -> None:
        assert decode(b"plain text " * 900 + "wide".encode("utf-16-le") * 3000).encoding == "ascii"

    def test_only_the_first_eight_kilobytes_are_asked_for_zeros(self) -> None:
        with pytest.raises(NotText, match="binary file"):
            decode(b"a" * 8191 + b"\0" + b"a" * 100)
        assert decode(b"a" * 8192 + b"\0" + b"a" * 100).encoding == "ascii"

    def test_a_single_byte_is_text(self) -> None:
        assert decode(b"a").text == "a"
        with pytest.raises(NotText, match="binary file"):
            decode(b"\0")
