"""What an item says, kept or passed on. (Installed streams are tried in real workers.)"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.backends import _output
from fanwise.backends._output import Aside, Capture
from fanwise.errors import UsageError


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """What went to descriptors 1 and 2."""
    seen: list[tuple[int, str]] = []
    monkeypatch.setattr(_output, "_write", lambda fd, text: seen.append((fd, text)))
    return seen


@pytest.fixture
def capture() -> Capture:
    made = Capture()
    made.active = True
    made.index = lambda: 5
    return made


@pytest.fixture
def install(capture: Capture) -> Iterator[Callable[[], Capture]]:
    """Installs a capture inside the test itself: pytest changes the streams between set-up and call."""
    streams = {name: getattr(sys, name) for name in ("stdin", "breakpointhook")}
    shown, root = warnings.showwarning, logging.root.handlers[:]
    handlers = {name: (log.handlers[:], log.propagate) for name, log in _loggers()}
    with contextlib.ExitStack() as stack:

        def now() -> Capture:
            stack.enter_context(contextlib.redirect_stdout(sys.stdout))
            stack.enter_context(contextlib.redirect_stderr(sys.stderr))
            capture.install()
            return capture

        yield now
    for name, stream in streams.items():
        setattr(sys, name, stream)
    warnings.showwarning = shown
    logging.root.handlers[:] = root
    for name, (theirs, propagate) in handlers.items():
        logging.getLogger(name).handlers[:] = theirs
        logging.getLogger(name).propagate = propagate


def _loggers() -> list[tuple[str, logging.Logger]]:
    return [(n, log) for n, log in logging.root.manager.loggerDict.items() if isinstance(log, logging.Logger)]


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["stdout", "stderr"]), st.text(max_size=5)), max_size=30))
def test_pieces_come_in_order_and_whole(said: list[tuple[int, str, str]]) -> None:
    capture = Capture()
    capture.active = True
    for index, stream, text in said:
        capture.index = lambda index=index: index  # type: ignore[misc]
        capture.text(stream, 1, text)
    pieces = capture.take()
    for stream in ("stdout", "stderr"):
        for index in range(4):
            expected = "".join(t for i, s, t in said if (i, s) == (index, stream))
            assert "".join(t for i, s, t in pieces if (i, s) == (index, stream)) == expected
    assert all(a[:2] != b[:2] for a, b in pairwise(pieces)), "neighbours are joined"
    assert capture.take() == []
    assert not capture.pieces


def test_outside_an_item_text_is_passed_on(capture: Capture, passed: list[tuple[int, str]]) -> None:
    capture.index = lambda: None
    capture.text("stdout", 1, "a")
    capture.index = lambda: 5
    capture.active = False
    capture.text("stderr", 2, "b")
    assert passed == [(1, "a"), (2, "b")]
    assert not capture.pieces


def test_a_mebibyte_an_item_is_kept(capture: Capture, passed: list[tuple[int, str]]) -> None:
    capture.text("stdout", 1, "x" * (1 << 20))
    capture.text("stdout", 1, "y")
    capture.index = lambda: 6
    capture.text("stdout", 1, "z")
    assert [(i, len(t)) for i, _, t in capture.take()] == [(5, 1 << 20), (6, 1)]
    assert passed == [(1, "y")]


def test_records_of_any_logger_are_kept(install: Callable[[], Capture]) -> None:
    installed = install()
    logger = logging.getLogger("fanwise_test.output")
    logger.setLevel(logging.DEBUG)
    try:
        raise ValueError("seen")
    except ValueError:
        logger.exception("failed %s", "badly", extra={"unpicklable": object(), "ok": 1})
    ((index, stream, record),) = installed.take()
    assert (index, stream, record["msg"], record["ok"]) == (5, "log", "failed badly", 1)
    assert "unpicklable" not in record
    assert "ValueError: seen" in record["exc_text"]
    assert record["fanwise_worker"] == os.getpid()


def test_a_record_outside_an_item_is_a_line(install: Callable[[], Capture], passed: list[tuple[int, str]]) -> None:
    installed = install()
    installed.index = lambda: None
    logging.getLogger("fanwise_test.output").error("alone")
    assert passed == [(2, "alone\n")]


def test_a_record_that_cannot_be_formatted_is_loggings_affair(install: Callable[[], Capture]) -> None:
    installed = install()
    logging.getLogger("fanwise_test.output").error("%d", "text")
    ((_, stream, text),) = installed.take()
    assert stream == "stderr"
    assert "Logging error" in text


def test_warnings_are_kept_with_the_module_they_are_about(
    install: Callable[[], Capture], passed: list[tuple[int, str]]
) -> None:
    installed = install()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("beware", DeprecationWarning, stacklevel=1)
        ((index, stream, warning),) = installed.take()
        assert (index, stream, warning["message"], warning["module"]) == (5, "warning", "beware", __name__)
        installed.index = lambda: None
        warnings.warn("outside", DeprecationWarning, stacklevel=1)
    assert "DeprecationWarning: outside" in passed[0][1]
    warnings.showwarning("text", UserWarning, "nowhere.py", 1, sys.stdout)
    assert passed[1] == (1, "nowhere.py:1: UserWarning: text\n")
    installed.index = lambda: 5
    warnings.showwarning("text", UserWarning, "nowhere.py", 1)
    assert installed.take()[0][2]["module"] is None


def test_streams_have_what_streams_have(install: Callable[[], Capture]) -> None:
    installed = install()
    assert (sys.stdout.name, sys.stderr.name) == ("<stdout>", "<stderr>")
    assert sys.stdout.errors == "backslashreplace"
    assert sys.stdout.encoding
    assert sys.stdout.buffer.writable()
    assert sys.stdout.buffer.fileno() == 1
    assert sys.stdout.write("") == 0
    print("text", file=sys.stderr, flush=True)
    assert installed.take() == [(5, "stderr", "text\n")]
    with pytest.raises(UsageError):
        breakpoint()  # noqa: T100
    installed.flush()


def test_text_is_written_whole_or_not_at_all() -> None:
    told, tell = os.pipe()
    _output._write(tell, "ä\udc80\n")
    os.close(tell)
    assert os.read(told, 100) == "ä\\udc80\n".encode()
    os.close(told)
    _output._write(tell, "to a closed descriptor")


def test_without_streams_there_is_nothing_to_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "__stdout__", None)
    monkeypatch.setattr(sys, "__stderr__", None)
    Capture().flush()


def test_a_closed_stream_does_not_stop_the_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        def flush(self) -> Any:
            raise ValueError("I/O operation on closed file")

    monkeypatch.setattr(sys, "__stdout__", Closed())
    Capture().flush()


class TestAside:
    """In the calling process: for a while, and for one thread."""

    def aside(self, index: int | None = 3) -> Aside:
        made = Aside()
        made.index = lambda: index
        return made

    def test_it_keeps_what_an_item_says(self) -> None:
        aside = self.aside()
        with aside, warnings.catch_warnings():
            warnings.simplefilter("always")
            print("to stdout")
            print("to stderr", file=sys.stderr)
            logging.getLogger("aside").warning("to %s", "log")
            warnings.warn("to nobody", UserWarning, stacklevel=1)
        assert [(index, stream) for index, stream, _ in aside.take()] == [
            (3, "stdout"),
            (3, "stderr"),
            (3, "log"),
            (3, "warning"),
        ]

    def test_all_is_as_before_even_if_an_item_raises(self) -> None:
        def everything() -> list[object]:
            return [
                sys.stdin,
                sys.stdout,
                sys.stderr,
                sys.breakpointhook,
                warnings.showwarning,
                logging.Logger.callHandlers,
            ]

        before = everything()
        with pytest.raises(ZeroDivisionError), self.aside():
            raise ZeroDivisionError
        assert everything() == before

    def test_what_belongs_to_no_item_goes_where_it_would_have_gone(self, capsys: pytest.CaptureFixture[str]) -> None:
        aside = self.aside(None)
        with aside:
            print("now")
            print("trouble", file=sys.stderr)
            assert capsys.readouterr() == ("now\n", "trouble\n")
        assert aside.take() == []

    def test_so_does_what_another_thread_says(
        self, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        def speak() -> None:
            print("elsewhere")
            logging.getLogger("aside").warning("logged elsewhere")

        aside = self.aside()
        with aside:
            thread = threading.Thread(target=speak)
            thread.start()
            thread.join()
        assert aside.take() == []
        assert capsys.readouterr().out == "elsewhere\n"
        assert caplog.messages == ["logged elsewhere"]

    def test_a_stream_that_is_closed_or_absent_swallows_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdout", None)
        with self.aside(None):
            print("nowhere")

    def test_there_is_nothing_to_read_and_nobody_to_debug(self) -> None:
        with self.aside():
            with pytest.raises(EOFError):
                input()
            with pytest.raises(UsageError, match="workers=1"):
                breakpoint()  # noqa: T100
