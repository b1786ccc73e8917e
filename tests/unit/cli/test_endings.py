"""Whatever ends a command: the code says which kind it was, one line says what to do, and no secret trace is shown."""

from __future__ import annotations

import errno
import io
import json
import os
import string
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fanwise
from fanwise.cli import _errors, main
from fanwise.cli._errors import JSON, Exit, Guard, MissingExtraError, ending, nearest, reason, require
from fanwise.errors import BackendError, BundleError, CacheError, InputError, UsageError

LINE = ["ci", "trial.csv", "-o", "out.csv"]
WORDS = st.text(string.ascii_lowercase, min_size=1, max_size=10)


def interrupted(*args: object, **attributes: object) -> KeyboardInterrupt:
    error = KeyboardInterrupt(*args)
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


def write_error(number: int, name: object = "out.csv") -> OSError:
    return OSError(number, os.strerror(number), name)


@pytest.mark.parametrize(
    ("code", "number"),
    [("DONE", 0), ("DEFECT", 1), ("USAGE", 2), ("PARTIAL", 3), ("INTERRUPTED", 130)],
)
def test_codes_are_those_of_the_published_page(code: str, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert Exit[code] == number
    assert main(["help", "exit-codes"]) == 0
    page = capsys.readouterr().out
    assert str(number) in page


@pytest.mark.parametrize("kind", [UsageError, InputError, CacheError, BundleError, BackendError])
def test_what_the_caller_can_mend_is_a_usage_error_in_its_own_words(kind: type[Exception]) -> None:
    end = ending(kind("row 17: column b is -3"), "fanwise ci", LINE)
    assert (end.code, end.message) == (Exit.USAGE, "fanwise ci: row 17: column b is -3.")


@pytest.mark.parametrize("error", [ValueError("x"), ZeroDivisionError(), RuntimeError("lost"), AssertionError()])
def test_anything_unforeseen_is_our_defect_and_never_the_callers(error: Exception) -> None:
    end = ending(error, "fanwise ci", LINE)
    assert end.code is Exit.DEFECT
    assert "defect in fanwise" in end.message


@pytest.mark.parametrize("error", [MemoryError("1 GiB"), RuntimeError("can't start new thread")])
def test_too_little_memory_is_no_defect(error: Exception) -> None:
    end = ending(error, "fanwise ci", LINE)
    assert end.code is Exit.USAGE
    assert end.message.startswith("fanwise ci: out of memory; try fewer workers (-p 1)")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (write_error(errno.EACCES), "fanwise ci: cannot write out.csv: permission denied."),
        (write_error(errno.ENOENT, b"gone/out.csv"), "fanwise ci: cannot write gone/out.csv: no such file."),
        (write_error(errno.EISDIR, Path("folder")), "fanwise ci: cannot write folder: is a directory."),
        (write_error(errno.EBADF, 7), "fanwise ci: cannot write 7: bad file descriptor."),
        (OSError(errno.ENOSPC, "No space left on device"), "fanwise ci: cannot write: no space left on device."),
        (OSError(errno.EFBIG, "File too large"), "fanwise ci: cannot write: file too large."),
    ],
)
def test_a_file_that_cannot_be_written_is_named_with_the_reason(error: OSError, message: str) -> None:
    end = ending(error, "fanwise ci", LINE)
    assert (end.code, end.message) == (Exit.USAGE, message)


def test_an_operating_system_error_without_a_file_is_a_defect() -> None:
    assert ending(OSError(errno.EINVAL, "Invalid argument"), "fanwise ci", LINE).code is Exit.DEFECT


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOENT, "No such file or directory", "x"), "no such file"),
        (OSError(errno.EACCES, "Permission denied"), "permission denied"),
        (OSError("Custom Words"), "custom words"),
        (OSError(), "oserror"),
        (PermissionError(), "permissionerror"),
    ],
)
def test_the_reason_is_in_lower_case_and_never_empty(error: OSError, said: str) -> None:
    assert reason(error) == said


class TestInterrupt:
    def test_without_anything_kept_there_is_nothing_to_go_on_with(self) -> None:
        end = ending(interrupted(), "fanwise ci", LINE)
        assert (end.code, end.message) == (Exit.INTERRUPTED, "Interrupted.")

    def test_the_words_of_the_command_come_before_the_count_of_the_run(self) -> None:
        run = SimpleNamespace(outcomes=[1, 2], missing=[3])
        end = ending(interrupted("3 of 9 files are kept.", run=run), "fanwise scan", ["scan", "a"])
        assert end.message == "Interrupted: 3 of 9 files are kept. Continue with: fanwise scan a --resume"

    def test_what_is_kept_is_counted_with_separators(self) -> None:
        run = SimpleNamespace(outcomes=range(1_220), missing=range(780))
        end = ending(interrupted(run=run), "fanwise ci", LINE)
        assert "1,220 of 2,000 items are kept." in end.message

    def test_an_argument_that_is_no_sentence_is_not_shown(self) -> None:
        assert ending(interrupted("signal 15"), "fanwise ci", LINE).message == "Interrupted."

    @pytest.mark.parametrize(
        ("typed", "again"),
        [
            (["ci", "a.csv"], "ci a.csv --resume"),
            (["ci", "a.csv", "--force"], "ci a.csv --resume"),
            (["ci", "--resume", "a.csv"], "ci a.csv --resume"),
            (["ci", "my trial.csv", "-o", "it's.csv"], "ci 'my trial.csv' -o 'it'\"'\"'s.csv' --resume"),
            (["scan", "--out", "o", "--", "-odd"], "scan --out o --resume -- -odd"),
        ],
    )
    def test_the_line_to_go_on_with_can_be_pasted(self, typed: list[str], again: str) -> None:
        end = ending(interrupted("1 of 2 files are kept."), "fanwise", typed)
        assert end.message.endswith(f"Continue with: fanwise {again}")

    @given(st.lists(st.sampled_from(["--force", "--resume", "-q", "a b", "x'y", "--json"]), max_size=6))
    def test_whatever_was_typed_is_asked_to_resume_exactly_once_and_never_to_start_afresh(
        self, typed: list[str]
    ) -> None:
        import shlex

        message = ending(interrupted("1 of 2 files are kept."), "fanwise ci", ["ci", *typed]).message
        words = shlex.split(message.partition("Continue with: ")[2])
        assert words.count("--resume") == 1
        assert "--force" not in words
        assert words[2:-1] == [w for w in typed if w not in {"--force", "--resume"}]


class TestNearest:
    @given(WORDS, st.lists(WORDS, max_size=5))
    def test_a_known_word_is_its_own_nearest(self, word: str, others: list[str]) -> None:
        assert nearest(word, [*others, word]) == f" Did you mean {word}?"

    @given(WORDS)
    def test_nothing_known_offers_nothing(self, word: str) -> None:
        assert nearest(word, []) == ""

    @pytest.mark.parametrize(("word", "found"), [("scna", "scan"), ("serach", "search"), ("doctro", "doctor")])
    def test_two_letters_that_changed_places_are_seen(self, word: str, found: str) -> None:
        assert found in nearest(word, ["scan", "search", "doctor", "cache"])


class TestRequire:
    def test_what_is_installed_needs_no_word(self) -> None:
        assert require("fanwise ci", ["json", "os"], "ci") is None

    def test_all_that_is_missing_is_named_with_one_command(self) -> None:
        with pytest.raises(MissingExtraError) as caught:
            require("fanwise ci", ["json", "no_such_one", "no_such_two"], "ci")
        line = "fanwise ci: needs no_such_one and no_such_two: pip install 'fanwise[ci]'"
        assert str(caught.value) == line
        assert ending(caught.value, "other words", LINE) == _errors.Ending(Exit.USAGE, line)


@pytest.mark.parametrize("word", ["it's", 'say"so', "two words", "ünï", "a\tb", "''", "'quoted'"])
def test_a_command_that_does_not_exist_is_named_as_it_was_typed(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == Exit.USAGE
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"no command {word}." in said.replace("\\t", "\t")


class TestGuard:
    def run(self, error: BaseException | None, *words: str, meta: dict[str, object] | None = None) -> int:
        guard = Guard(words, meta=meta or {})
        with guard:
            if error is not None:
                raise error
        return guard.code

    def test_a_command_that_returns_keeps_its_code(self) -> None:
        guard = Guard(["ci"])
        with guard:
            guard.code = 3
        assert guard.code == 3

    @pytest.mark.parametrize("code", [0, 2, 5])
    def test_the_code_of_click_is_passed_on(self, code: int, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.run(click.exceptions.Exit(code), "ci") == code
        assert capsys.readouterr() == ("", "")

    def test_the_message_goes_to_stderr_and_stdout_stays_empty(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.run(InputError("bad row"), "ci", "a.csv") == Exit.USAGE
        assert capsys.readouterr() == ("", "fanwise ci: bad row.\n")

    def test_options_before_the_command_do_not_become_its_name(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.run(InputError("bad row"), "-q", "scan", "a")
        assert capsys.readouterr().err == "fanwise scan: bad row.\n"

    def test_without_words_the_program_speaks(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.run(UsageError("nothing to do"))
        assert capsys.readouterr().err == "fanwise: nothing to do.\n"

    @pytest.mark.parametrize(
        ("error", "code"), [(InputError("bad"), 2), (KeyboardInterrupt(), 130), (MissingExtraError("needs x"), 2)]
    )
    def test_a_machine_that_listens_gets_the_same_code_and_message(
        self, error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(error, "ci", "a.csv", meta={JSON: True}) == code
        out, err = capsys.readouterr()
        told = json.loads(out)
        assert (told["command"], told["exit_code"]) == ("ci", code)
        assert told["problems"] == [{"where": "", "message": err.rstrip("\n")}]

    def test_a_machine_is_told_how_far_an_interrupted_run_came(self, capsys: pytest.CaptureFixture[str]) -> None:
        error = fanwise.RunInterrupted()
        error.run = fanwise.run(abs, [-1, 2], workers=1)
        assert self.run(error, "ci", "--json", meta={JSON: True}) == 130
        told = json.loads(capsys.readouterr().out)
        assert (told["items"]["ok"], told["wall_s"]) == (2, pytest.approx(error.run.report.wall, abs=1e-3))

    @pytest.mark.parametrize(("flag", "shown"), [("-v", False), ("-vv", True), ("-vvv", True)])
    def test_a_trace_is_shown_to_those_who_ask_twice(
        self, flag: str, shown: bool, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.run(InputError("bad row"), "ci", flag)
        assert ("Traceback" in capsys.readouterr().err) is shown

    def test_a_defect_is_written_to_a_file_that_names_line_and_trace(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert self.run(RuntimeError("invariant"), "ci", "my file.csv") == Exit.DEFECT
        (file,) = tmp_path.glob("crash-*.txt")
        text = file.read_text("utf-8")
        assert "fanwise ci 'my file.csv'\n" in text
        assert "RuntimeError: invariant" in text
        assert file.name in capsys.readouterr().err
        assert file.stat().st_mode & 0o077 == 0

    def test_a_broken_pipe_is_silent_even_where_stdout_has_no_descriptor(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("sys.stdout", io.StringIO())
        assert self.run(BrokenPipeError(), "ci", meta={JSON: True}) == Exit.BROKEN_PIPE
        assert capsys.readouterr().err == ""
