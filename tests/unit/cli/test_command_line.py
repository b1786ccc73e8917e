"""The frame of the command line: the table of commands, messages and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from tests.programs import plain_environment

import fanwise
from fanwise import __version__, errors
from fanwise.cli import _errors, _main, main
from fanwise.cli._errors import Exit, ending
from fanwise.cli._main import root
from fanwise.cli._options import RunOptions, workload_options
from fanwise.cli.help import TOPICS, page, topic


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> object:
    """Put a command of the test's own into the table, as ``fanwise probe``."""

    def put(body: object, name: str = "probe", **entry: object) -> None:
        made = click.command(name=name)(workload_options(body)) if callable(body) else body
        home = "_".join(["probe", *name.split()])
        monkeypatch.setitem(_main.COMMANDS, name, _main.Entry(f"{home}:it", "A probe.", **entry))
        monkeypatch.setitem(sys.modules, f"fanwise.cli.{home}", SimpleNamespace(it=made))

    return put


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fanwise {__version__}\n"
    for words in (["--help"], ["-h"]):
        assert main(words) == 0
        out = capsys.readouterr().out
        assert out.index("Workloads:") < out.index("Commands:")
        assert _main.COMMANDS["ci"].summary in out


def test_messages_never_go_to_stdout_if_stderr_is_closed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "argv", ["fanwise", "ci", "--table", "1,2,3"])
    assert main() == 2
    sys.stderr.close()
    assert capsys.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.process
def test_a_file_that_is_opened_never_gets_the_number_of_a_standard_stream(tmp_path: Path) -> None:
    program = "import sys, os; from fanwise.cli import main; main(); print(os.open(os.devnull, os.O_RDONLY))"
    shell = f"exec {sys.executable} -c '{program}' --version <&- 2>&-"
    ended = subprocess.run(["sh", "-c", shell], stdout=subprocess.PIPE, text=True, check=True, env=plain_environment())
    assert int(ended.stdout.split()[-1]) > 2


@pytest.mark.parametrize("name", _main.COMMANDS)
def test_every_command_has_a_help_page(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: fanwise {name} ")
    assert "Example" in out


def test_help_of_a_workload_names_examples_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    main(["ci", "--help"])
    out = capsys.readouterr().out
    assert out.count("  fanwise ci ") >= 2
    assert "Exit codes: 0 done" in out
    assert "[default: conditional]" in out


def test_without_arguments_the_help_is_shown_and_it_ends_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Usage: fanwise" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cii"], "fanwise: no command cii. Did you mean ci?"),
        (["xyzzy"], "fanwise: no command xyzzy."),
        (["--hlp"], "fanwise: no option --hlp. Did you mean --help?"),
        (["ci", "--colums", "x"], "fanwise ci: no option --colums. Did you mean --columns?"),
        (["help", "nothing"], "fanwise help: no page nothing."),
        (["help", "enviroment"], "fanwise help: no page enviroment. Did you mean environment?"),
        (["help", "cache", "infos"], "fanwise cache: no command infos. Did you mean info?"),
    ],
)
def test_a_mistyped_word_is_met_with_the_nearest_one(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(message)


def test_commands_are_not_imported_until_called() -> None:
    look = "print([m for m in sys.modules if m.endswith('cli.ci') or m == 'numpy'])"
    code = f"import sys; from fanwise.cli import main; main(['--help']); {look}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.endswith("[]\n")


def test_two_words_are_one_command_before_they_are_an_argument(
    command: object, capsys: pytest.CaptureFixture[str]
) -> None:
    command(lambda options: print("one") or 0, "probe")
    command(lambda options: print("two") or 0, "probe again")
    command(lambda options: print("deep") or 0, "group of three")
    assert main(["probe"]) == main(["probe", "again"]) == main(["group", "of", "three"]) == 0
    assert capsys.readouterr().out == "one\ntwo\ndeep\n"
    assert main(["group", "--help"]) == 0
    assert main(["group", "off"]) == 2
    assert "fanwise group: no command off. Did you mean of?" in capsys.readouterr().err


def test_without_click_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fanwise.cli, "find_spec", lambda name: None)
    assert main(["ci"]) == 2
    assert capsys.readouterr().err == "fanwise: the command line needs one more package: pip install 'fanwise[cli]'\n"


def test_a_missing_extra_is_one_line(command: object, capsys: pytest.CaptureFixture[str]) -> None:
    command(lambda options: 0, needs=("no_such_package", "nor_this_one"), extra="search")
    assert main(["probe"]) == 2
    message = "fanwise probe: needs no_such_package and nor_this_one: pip install 'fanwise[search]'\n"
    assert capsys.readouterr().err == message


def raising(error: BaseException) -> object:
    def body(options: object) -> int:
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (errors.UsageError("wrong."), Exit.USAGE, "fanwise probe: wrong.\n"),
        (errors.InputError("bad."), Exit.USAGE, "fanwise probe: bad.\n"),
        (errors.CacheError("no."), Exit.USAGE, "fanwise probe: no.\n"),
        (errors.BackendError("gone."), Exit.USAGE, "fanwise probe: gone.\n"),
        (
            PermissionError(13, "Permission denied", "r"),
            Exit.USAGE,
            "fanwise probe: cannot write r: permission denied.\n",
        ),
        (OSError(28, "No space left on device"), Exit.USAGE, "fanwise probe: cannot write: no space left on device.\n"),
        (click.ClickException("odd"), Exit.USAGE, "fanwise probe: odd.\n"),
        (KeyboardInterrupt(), Exit.INTERRUPTED, "Interrupted.\n"),
        (
            KeyboardInterrupt("3 of 5 rows are kept."),
            Exit.INTERRUPTED,
            "Interrupted: 3 of 5 rows are kept. Continue with: fanwise probe -p 1 --resume\n",
        ),
    ],
)
def test_endings_have_their_code_and_one_line(
    command: object, capsys: pytest.CaptureFixture[str], error: BaseException, code: Exit, message: str
) -> None:
    command(raising(error))
    assert main(["probe", "-p", "1"]) == code
    assert capsys.readouterr().err == message


def test_an_interrupted_run_says_what_is_kept() -> None:
    error = errors.RunInterrupted()
    error.run = SimpleNamespace(outcomes=(1, 2), missing=(3,))
    end = ending(error, "fanwise probe", ["probe", "a b", "--resume"])
    assert end.message == "Interrupted: 2 of 3 items are kept. Continue with: fanwise probe 'a b' --resume"


def test_a_defect_leaves_a_file_for_the_report(
    command: object, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command(raising(ZeroDivisionError("oh")))
    assert main(["probe"]) == Exit.DEFECT
    err = capsys.readouterr().err
    (file,) = tmp_path.glob("crash-*.txt")
    assert f"This is a defect in fanwise, not in your input. Please report it with the file {file.name}." in err
    assert "ZeroDivisionError: oh" in file.read_text()
    assert f"fanwise {__version__}" in file.read_text()


def test_a_defect_where_nothing_can_be_written_uses_the_temporary_folder(
    command: object, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_errors.os, "access", lambda *a: False)
    monkeypatch.setattr(_errors.tempfile, "tempdir", str(tmp_path))
    command(raising(ZeroDivisionError("oh")))
    assert main(["probe"]) == Exit.DEFECT
    assert str(next(tmp_path.glob("crash-*.txt"))) in capsys.readouterr().err


def test_very_verbose_adds_the_stack_trace(command: object, capsys: pytest.CaptureFixture[str]) -> None:
    command(raising(errors.InputError("bad.")))
    assert main(["probe", "-vv"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("fanwise probe: bad.\n")


def prints(item: int) -> int:
    print(f"item {item}\nsays so")
    print("and complains", file=sys.stderr)
    return item


def prints_within(item: int) -> list[int]:
    return fanwise.map(prints, [item], backend="process", workers=1)


def heard(command: object, capsys: pytest.CaptureFixture[str], fn: object, *words: str, backend: str) -> list[str]:
    """What two items of ``fn`` write to stdout and stderr of a command."""

    def body(options: RunOptions) -> int:
        fanwise.map(fn, range(5, 7), backend=backend, workers=2 if backend == "process" else 1, progress="none")
        return 0

    command(body)
    assert main(["probe", *words]) == 0
    return list(capsys.readouterr())


ALONE = ["item 5\nsays so\nitem 6\nsays so\n", "and complains\nand complains\n"]


@pytest.mark.process
def test_verbose_puts_the_item_before_each_line_that_it_prints_in_a_worker(
    command: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert heard(command, capsys, prints, "-v", backend="process") == [
        "[item 0] item 5\n[item 0] says so\n[item 1] item 6\n[item 1] says so\n",
        "[item 0] and complains\n[item 1] and complains\n",
    ]
    assert heard(command, capsys, prints, backend="process") == ALONE, "the choice ends with its command"


@pytest.mark.process
def test_lines_of_items_of_the_calling_process_have_no_item_before_them(
    command: object, capsys: pytest.CaptureFixture[str]
) -> None:
    for fn in (prints, prints_within):
        out, _ = heard(command, capsys, fn, "-v", backend="serial")
        assert out == ALONE[0]


def test_machines_get_an_object_for_a_bad_ending_too(command: object, capsys: pytest.CaptureFixture[str]) -> None:
    command(raising(errors.InputError("bad.")))
    assert main(["probe", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["command"], found["exit_code"]) == ("fanwise.summary/1", "probe", 2)
    assert found["problems"] == [{"where": "", "message": "fanwise probe: bad."}]


def test_a_broken_pipe_ends_as_a_signal_would(command: object, capsys: pytest.CaptureFixture[str]) -> None:
    command(raising(BrokenPipeError()))
    assert main(["probe"]) == 141
    assert capsys.readouterr().err == ""


def test_system_exit_passes(command: object) -> None:
    command(raising(SystemExit(7)))
    with pytest.raises(SystemExit):
        main(["probe"])


def test_a_closed_stderr_does_not_hide_the_code(command: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(text: str) -> int:
        raise ValueError("I/O operation on closed file")

    command(raising(errors.InputError("bad.")))
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=closed, isatty=lambda: False))
    assert main(["probe"]) == 2


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        ([], "Usage: fanwise [OPTIONS] COMMAND"),
        (["report"], "Usage: fanwise report "),
        (["cache", "info"], "Usage: fanwise cache info "),
    ],
)
def test_help_of_a_command_is_its_help(words: list[str], usage: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", *words]) == 0
    assert capsys.readouterr().out.startswith(usage)


@pytest.mark.parametrize("topic", TOPICS)
def test_topics_are_printed_as_they_are(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", topic]) == 0
    assert capsys.readouterr().out == page(topic)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_call_fanwise(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "_FANWISE_COMPLETE" in capsys.readouterr().out


def test_completion_completes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("_FANWISE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "fanwise c")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert main([]) == 0
    assert "plain,ci" in capsys.readouterr().out


def test_pages_and_commands_complete_the_word_help() -> None:
    context = topic.make_context("help", [], parent=click.Context(root(), info_name="fanwise"))
    (name,) = topic.params
    assert [item.value for item in name.shell_complete(context, "e")] == ["environment", "exit-codes", "envelope"]


def test_a_list_of_choices_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion"]) == 2
    assert capsys.readouterr().err.endswith("Choose from: bash, zsh, fish.\n")
