"""Archives of ready-made members, read by another program."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.errors import InputError
from fanwise.workloads.auditscan._zip import Deflated, ZipWriter, deflate


def archive(members: dict[str, list[str]]) -> bytes:
    out = io.BytesIO()
    writer = ZipWriter(out)
    for name, chunks in members.items():
        writer.add(name, deflate(chunks))
    writer.close()
    return out.getvalue()


@given(
    st.dictionaries(st.text("abcé/", min_size=1, max_size=6), st.lists(st.text(max_size=20), max_size=3), max_size=4)
)
def test_zipfile_reads_what_was_written(members: dict[str, list[str]]) -> None:
    with zipfile.ZipFile(io.BytesIO(archive(members))) as back:
        assert back.testzip() is None
        assert back.namelist() == list(members)
        assert [back.read(name).decode() for name in members] == ["".join(chunks) for chunks in members.values()]


def test_the_date_is_always_the_same() -> None:
    data = archive({"a": ["x"]})
    assert archive({"a": ["x"]}) == data
    with zipfile.ZipFile(io.BytesIO(data)) as back:
        assert back.infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)


def test_a_member_too_large_for_the_format_is_refused() -> None:
    with pytest.raises(InputError, match="4 GiB"):
        ZipWriter(io.BytesIO()).add("big", Deflated(b"", 0, 1 << 32))
