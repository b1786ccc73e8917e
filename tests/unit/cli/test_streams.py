"""Streams that are closed, full, or cannot say all letters do not change what a command does."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from fanwise.cli import main
from fanwise.cli._outputs import replace_text, stdout_bytes
from fanwise.cli._streams import abandon, fit_streams, tell
from fanwise.errors import FanwiseWarning, UsageError


def shell(line: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line of the shell, in which ``$FANWISE`` is the command."""
    known = {"FANWISE": f"{sys.executable} -m fanwise", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, env=os.environ | known | variables, timeout=60
    )


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_stderr_that_cannot_be_written_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Full())
    tell("hello")
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    tell("hello")


def test_without_stderr_nothing_goes_to_stdout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with fit_streams():
        tell("hello")
    sys.stderr.close()
    assert capsys.readouterr().out == ""


def test_letters_that_a_stream_lacks_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    with fit_streams():
        print("2×2", flush=True)
    assert raw.getvalue() == b"2\\xd72\n"


def test_warnings_of_fanwise_are_messages_and_others_are_shown_as_ever(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    others: list[str] = []

    def show(message: Warning | str, *where: object) -> None:
        others.append(str(message))

    monkeypatch.setattr(warnings, "showwarning", show)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with fit_streams():
            warnings.warn("the cache is read-only", FanwiseWarning, stacklevel=1)
            warnings.warn("something else", UserWarning, stacklevel=1)
        assert warnings.showwarning is show
    assert capsys.readouterr().err == "fanwise: the cache is read-only.\n"
    assert others == ["something else"]


def test_to_abandon_what_has_no_descriptor_is_no_error() -> None:
    abandon(None)
    abandon(io.StringIO())


def test_a_closed_stdout_is_no_place_for_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(UsageError, match="standard output is closed"), stdout_bytes():
        pass


@pytest.mark.process
@pytest.mark.parametrize(
    ("line", "code", "out"),
    [
        ("$FANWISE help nothing 2>&-", 2, ""),
        ("$FANWISE help files 2>&- | head -1", 0, "# Files\n"),
        ("$FANWISE help files >/dev/full 2>/dev/null", 2, ""),
        ("$FANWISE help files 2>/dev/full | head -1", 0, "# Files\n"),
    ],
)
def test_closed_and_full_streams(line: str, code: int, out: str) -> None:
    done = shell(line)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, "")


def test_a_full_disk_under_an_answer_for_machines_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", Full())
    assert main(["cache", "info", "--json"]) == 2
    assert capsys.readouterr().err == "fanwise cache: cannot write: no space left on device.\n"


def test_a_device_or_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        replace_text(pipe, "a report")
        assert os.read(reader, 100) == b"a report"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
