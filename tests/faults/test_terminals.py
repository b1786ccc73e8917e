"""Progress in real processes: on a terminal of their own, in a pipe, in the background, interrupted, without stderr."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pyte
import pytest

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
PLAY = """
import os, signal, sys
from fanwise import progress
from fanwise.records import run_events as told
from fanwise.report import ReportBuilder

def events(items=40, each=0.1):
    yield told.RunStarted(0.0, items, "search")
    for index in range(items):
        yield told.ChunkSent(each * index, 0, index, 1)
        yield told.ChunkDone(each * (index + 1), 0, index, 1, ok=1, busy=each)
    yield told.RunEnded(each * items, "done")

def play(shown, between=lambda event: None):
    builder = ReportBuilder()
    shown.start(40, "search")
    for event in events():
        builder.on(event)
        shown.on(event)
        between(event)
    shown.finish(builder.finish(4.0))

"""
CLOSING = "search: 40 items in 4.0 s, 10 item/s"


def environment(**more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    path = os.pathsep.join([str(ROOT / "src"), kept.pop("PYTHONPATH", "")])
    return kept | {"PYTHONPATH": path, "TERM": "xterm", "LANG": "C.UTF-8", "PYTHONUTF8": "1"} | more


def own_terminal() -> None:
    """In the child: a session of its own with the pseudo terminal as its controlling one."""
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(2, termios.TIOCSCTTY, 0)


def on_a_terminal(code: str, rows: int = 60, **more: str) -> tuple[list[str], bytes, int]:
    """Screen, bytes and exit code of a program on a terminal of its own."""
    master, slave = os.openpty()
    os.set_inheritable(slave, True)
    program = [sys.executable, "-c", PLAY + textwrap.dedent(code)]
    child = subprocess.Popen(
        program, stdin=slave, stdout=slave, stderr=slave, env=environment(**more), preexec_fn=own_terminal, cwd=ROOT
    )
    os.close(slave)
    written = b""
    try:
        while got := read(master):
            written += got
    finally:
        os.close(master)
        child.wait(30)
    screen = pyte.Screen(80, rows)
    pyte.ByteStream(screen).feed(written)
    lines = [line.rstrip() for line in screen.display]
    return [line for line in lines if line], written, child.returncode


def read(master: int) -> bytes:
    try:
        return os.read(master, 65_536)
    except OSError:  # the other side is closed
        return b""


def piped(code: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    program = [sys.executable, "-c", PLAY + textwrap.dedent(code)]
    return subprocess.run(program, capture_output=True, env=environment(**more), cwd=ROOT, timeout=60, check=False)


def test_a_program_on_its_terminal_shows_a_bar_and_ends_with_the_closing_line():
    screen, written, code = on_a_terminal("play(progress.auto())")
    assert (screen, code) == ([CLOSING], 0)
    assert "━" in written.decode()


def test_lines_of_both_streams_arrive_whole_once_each_in_order():
    screen, _, _ = on_a_terminal(
        """
        def speak(event):
            if isinstance(event, told.ChunkDone):
                print("out", event.first)
                print("err", event.first, file=sys.stderr)
        play(progress.auto(), speak)
        """,
        rows=100,
    )
    assert screen == [*(f"{name} {n}" for n in range(40) for name in ("out", "err")), CLOSING]


def test_a_background_process_draws_nothing_and_is_not_stopped():
    screen, written, code = on_a_terminal(
        """
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        if child := os.fork():
            os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        os.setpgid(0, 0)
        play(progress.auto())
        """
    )
    assert (screen, written, code) == ([], b"", 0)


def test_a_bar_that_was_put_into_the_background_stops_drawing():
    screen, written, code = on_a_terminal(
        """
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        def background(event):
            if isinstance(event, told.ChunkDone) and event.first == 20:
                print("now", flush=True)
                if (other := os.fork()) == 0:
                    os.setpgid(0, 0)
                    os.tcsetpgrp(2, os.getpgrp())
                    os._exit(0)
                os.waitpid(other, 0)
        play(progress.auto(), background)
        """
    )
    assert code == 0
    assert "now" in screen
    assert "100 %" not in written.decode()


def test_leaving_in_the_middle_takes_the_bar_away_and_leaves_the_cursor():
    screen, written, code = on_a_terminal(
        """
        def leave(event):
            if isinstance(event, told.ChunkDone) and event.first == 30:
                sys.exit(7)
        play(progress.auto(), leave)
        """
    )
    assert (screen, code) == ([], 7)
    assert written.endswith(b"\x1b[K")
    assert written.count(b"\x1b[?25l") == written.count(b"\x1b[?25h") > 0


def test_an_interrupt_in_the_middle_leaves_a_clean_line_for_the_traceback():
    screen, _, code = on_a_terminal(
        """
        def interrupt(event):
            if isinstance(event, told.ChunkDone) and event.first == 30:
                os.kill(os.getpid(), signal.SIGINT)
        shown = progress.auto()
        try:
            play(shown, interrupt)
        except KeyboardInterrupt:
            shown.finish(ReportBuilder().finish(0.0))
            raise
        """
    )
    assert code == -signal.SIGINT
    assert screen[-1] == "KeyboardInterrupt"
    assert not [line for line in screen if "━" in line]


@pytest.mark.parametrize("more", [{"CI": "true"}, {"TERM": "dumb"}, {"FANWISE_PROGRESS": "plain"}])
def test_where_a_bar_would_disturb_there_are_plain_lines(more):
    screen, written, _ = on_a_terminal("play(progress.auto(command=True))", **more)
    assert screen == [f"fanwise: {CLOSING}"]
    assert b"\x1b" not in written


def test_no_color_leaves_only_the_codes_that_move():
    screen, written, _ = on_a_terminal("play(progress.auto())", NO_COLOR="1")
    assert screen == [CLOSING]
    assert b"\x1b[K" in written
    assert b"m" not in written.replace(b"item", b"")


def test_a_pipe_gets_plain_lines_from_a_command_and_nothing_from_the_library():
    command = piped("play(progress.auto(command=True))")
    assert (command.stdout, command.stderr) == (b"", f"fanwise: {CLOSING}\n".encode())
    library = piped("play(progress.auto())")
    assert (library.stdout, library.stderr) == (b"", b"")


def test_log_records_reach_the_handlers_of_the_program():
    done = piped(
        "import logging; logging.basicConfig(level='INFO', format='%(name)s|%(message)s'); play(progress.auto())"
    )
    assert done.stderr == f"fanwise.progress|{CLOSING}\n".encode()


def test_a_reader_that_left_does_not_end_the_run():
    done = piped(
        """
        reader, writer = os.pipe()
        os.dup2(writer, 2)
        os.close(reader)
        os.close(writer)
        play(progress.plain(command=True))
        print("done", flush=True)
        os._exit(0)  # the interpreter would complain that it cannot flush stderr
        """
    )
    assert (done.stdout, done.returncode) == (b"done\n", 0)


@pytest.mark.parametrize("kind", ["auto", "rich", "plain", "json"])
def test_a_process_without_stderr_runs_on(kind):
    code = f"play(progress.{kind}(command=True)); print('done')"
    program = ["/bin/sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, PLAY + code]
    done = subprocess.run(program, stdout=subprocess.PIPE, env=environment(), cwd=ROOT, timeout=60, check=False)
    assert (done.stdout, done.returncode) == (b"done\n", 0)


def test_a_full_disk_does_not_end_the_run():
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    code = "play(progress.plain(command=True)); print('done', flush=True); os._exit(0)"
    program = ["/bin/sh", "-c", 'exec "$0" -c "$1" 2>/dev/full', sys.executable, PLAY + code]
    done = subprocess.run(program, stdout=subprocess.PIPE, env=environment(), cwd=ROOT, timeout=60, check=False)
    assert (done.stdout, done.returncode) == (b"done\n", 0)


def test_importing_progress_brings_neither_rich_nor_a_notebook():
    done = piped("print([m for m in ('rich', 'IPython', 'numpy', 'multiprocessing', 'asyncio') if m in sys.modules])")
    assert done.stdout == b"[]\n"
