"""Files of a command are looked at before any work, and written whole or not at all."""

from __future__ import annotations

import io
import os
import signal
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.runs import report_of, serial_run

from fanwise import RunReport
from fanwise.cli._options import RunOptions
from fanwise.cli._outputs import (
    check_apart,
    check_input,
    check_new,
    check_reports,
    check_writable,
    replace_text,
    stdout_bytes,
    terminable,
    write_reports,
)
from fanwise.errors import InputError, UsageError
from fanwise.records import run_events as told

TABLES = (".csv", ".parquet")
OPTIONS = RunOptions(
    parallel=None,
    backend="auto",
    cache_dir=Path("cache"),
    no_cache=False,
    resume=False,
    progress="none",
    report=None,
    trace=None,
    json=False,
    quiet=True,
    verbose=0,
    force=False,
)


def everything_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "there.csv").write_text("a,b\n1,2\n")
    (tmp_path / "folder.csv").mkdir()
    return tmp_path


class TestInput:
    def test_standard_input_is_never_looked_at(self) -> None:
        assert check_input("-", TABLES) is None

    @pytest.mark.parametrize("name", ["there.csv", "THERE.CSV"])
    def test_a_file_of_a_known_kind_is_taken_whatever_the_case(self, place: Path, name: str) -> None:
        (place / name).write_text("a\n")
        check_input(str(place / name), TABLES)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("gone.csv", "cannot read .*gone.csv: no such file"),
            ("folder.csv", "cannot read .*folder.csv: is a directory"),
            ("there.csv/x.csv", "cannot read .*x.csv: not a directory"),
            ("n" * 300 + ".csv", "cannot read .*: file name too long"),
        ],
    )
    def test_what_cannot_be_read_is_named_with_the_reason(self, place: Path, name: str, message: str) -> None:
        with pytest.raises(InputError, match=message):
            check_input(str(place / name), TABLES)

    @pytest.mark.parametrize("name", ["table", "table.txt", ".csv", "table.csv.bak", "csv"])
    def test_an_unknown_kind_is_met_with_the_known_ones(self, name: str) -> None:
        with pytest.raises(UsageError, match=r"expected one of \.csv, \.parquet"):
            check_input(name, TABLES)

    def test_a_pipe_is_not_opened_since_that_would_end_its_writer(self, place: Path) -> None:
        os.mkfifo(place / "pipe.csv")
        check_input(str(place / "pipe.csv"), TABLES)  # to open it without a writer would wait for ever


class TestNewFile:
    def test_looking_leaves_no_file(self, place: Path) -> None:
        before = everything_in(place)
        check_new(place / "new.csv", TABLES, force=False)
        assert everything_in(place) == before

    def test_what_exists_is_refused_by_name_and_left_alone(self, place: Path) -> None:
        with pytest.raises(UsageError, match=r"there\.csv exists; use --force"):
            check_new(place / "there.csv", TABLES, force=False)
        check_new(place / "there.csv", TABLES, force=True)
        assert (place / "there.csv").read_text() == "a,b\n1,2\n"

    @pytest.mark.parametrize("name", ["no/such/folder/x.csv", "there.csv/x.csv"])
    def test_a_place_that_is_not_there_is_found_out_before_any_work(self, place: Path, name: str) -> None:
        with pytest.raises(OSError, match=r"x\.csv"):
            check_new(place / name, TABLES, force=False)

    def test_a_folder_in_its_place_is_found_out_even_with_force(self, place: Path) -> None:
        with pytest.raises(IsADirectoryError):
            check_new(place / "folder.csv", TABLES, force=True)

    def test_what_is_not_wanted_is_not_looked_at(self, place: Path) -> None:
        before = everything_in(place)
        check_writable(None, place / "there.csv", None, place / "new.csv")
        assert everything_in(place) == before


class TestApart:
    @pytest.mark.parametrize("name", ["there.csv", "folder.csv/../there.csv", "./there.csv"])
    def test_an_input_is_never_an_output_by_any_path(self, place: Path, name: str) -> None:
        with pytest.raises(UsageError, match="is named twice"):
            check_apart([place / "there.csv"], [place / name])

    def test_a_link_to_an_input_is_that_input(self, place: Path) -> None:
        (place / "link.csv").symlink_to(place / "there.csv")
        with pytest.raises(UsageError, match=r"link\.csv is named twice"):
            check_apart([place / "there.csv"], [place / "link.csv"])

    @given(st.lists(st.sampled_from("abcdef"), max_size=5), st.lists(st.sampled_from("abcdef") | st.none(), max_size=4))
    def test_outputs_are_refused_exactly_if_one_is_taken(self, inputs: list[str], outputs: list[str | None]) -> None:
        named = [name for name in outputs if name]
        clash = len(set(named)) < len(named) or set(named) & set(inputs)
        try:
            check_apart(map(Path, inputs), [Path(n) if n else None for n in outputs])
        except UsageError:
            assert clash
        else:
            assert not clash

    def test_the_object_beside_a_page_needs_a_file_of_its_own_too(self, place: Path) -> None:
        options = replace(OPTIONS, report=place / "run.html", trace=place / "run.json")
        with pytest.raises(UsageError, match=r"run\.json is named twice"):
            check_reports(options)

    def test_reports_keep_away_from_the_files_of_the_command(self, place: Path) -> None:
        with pytest.raises(UsageError, match=r"there\.csv is named twice"):
            check_reports(replace(OPTIONS, trace=place / "there.csv"), place / "there.csv")


class TestReplacing:
    @given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=200))
    def test_the_text_is_what_is_read_back(self, text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
        path = tmp_path_factory.getbasetemp() / "replaced.txt"
        replace_text(path, text)
        assert path.read_text("utf-8") == text

    def test_nothing_but_the_file_is_left(self, place: Path) -> None:
        before = set(os.listdir(place))
        replace_text(place / "there.csv", "new")
        replace_text(place / "other.csv", "new")
        assert set(os.listdir(place)) == before | {"other.csv"}

    def test_what_fails_leaves_the_old_file_and_no_other(self, place: Path) -> None:
        with pytest.raises(IsADirectoryError):
            replace_text(place / "folder.csv", "new")
        assert set(os.listdir(place)) == {"there.csv", "folder.csv"}

    def test_readers_of_the_old_file_keep_it(self, place: Path) -> None:
        with open(place / "there.csv") as reader:
            replace_text(place / "there.csv", "new")
            assert reader.read() == "a,b\n1,2\n"
        assert (place / "there.csv").read_text() == "new"


class TestReports:
    def test_nothing_asked_for_writes_nothing(self, place: Path) -> None:
        before = everything_in(place)
        assert write_reports(report_of(serial_run()), OPTIONS, "ci") == []
        assert write_reports(None, replace(OPTIONS, report=place / "run.html"), "ci") == []
        assert everything_in(place) == before

    def test_a_page_has_its_object_beside_it(self, place: Path) -> None:
        report = report_of(serial_run())
        assert write_reports(report, replace(OPTIONS, report=place / "run.html", trace=place / "t.json"), "score") == []
        written = everything_in(place)
        assert written["run.html"].decode() == report.to_html()
        assert written["run.json"].decode() == report.to_json()
        assert written["t.json"].decode() == report.to_trace()

    def test_failed_items_are_counted_and_the_page_that_lists_them_named(
        self, place: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lost = [told.ItemFailed(0.1, 17, "ValueError", "bad table"), told.ItemLost(0.2, 18, "killed")]
        report = report_of([told.RunStarted(0.0, 2_000, "f"), *lost])
        write_reports(report, OPTIONS, "ci")
        write_reports(report, replace(OPTIONS, report=place / "r.html"), "ci")
        first, second = capsys.readouterr().err.splitlines()
        assert (
            first
            == "2 of 2,000 items failed; the first: item 17: ValueError: bad table. --report FILE.html lists them."
        )
        assert second.endswith(f"item 17: ValueError: bad table. All are in {place / 'r.html'}.")

    def test_it_is_called_what_the_command_is_called(self, place: Path) -> None:
        assert write_reports(report_of(serial_run()), replace(OPTIONS, report=place / "run.html"), "ci coverage") == []
        assert RunReport.from_json((place / "run.json").read_text()).run.label == "ci coverage"

    def test_one_that_cannot_be_written_does_not_keep_the_others_away(self, place: Path) -> None:
        options = replace(OPTIONS, report=place / "folder.csv", trace=place / "trace.json")
        problems = write_reports(report_of(serial_run()), options, "ci")
        assert [where for where, _ in problems] == [str(place / "folder.csv")]
        assert "is a directory" in problems[0][1]
        assert {"folder.json", "trace.json"} <= set(os.listdir(place))

    def test_a_message_of_bytes_that_are_no_text_can_be_written(self, place: Path) -> None:
        name = os.fsdecode(b"caf\xe9.csv")
        events = [told.RunStarted(0.0, 1, name), told.ItemFailed(0.1, 0, "ValueError", f"cannot read {name}")]
        options = replace(OPTIONS, report=place / "run.html", trace=place / "t.json")
        assert write_reports(report_of(events), options, "ci") == []
        assert b"cannot read caf" in (place / "run.html").read_bytes()


class TestStandardOutput:
    def test_bytes_pass_unchanged_and_are_flushed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(raw), encoding="ascii"))
        with stdout_bytes() as out:
            out.write(b"\xff\x00caf\xc3\xa9\r\n")
        assert raw.getvalue() == b"\xff\x00caf\xc3\xa9\r\n"

    def test_an_unbuffered_stream_is_given_a_buffer_and_stays_open(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with open(tmp_path / "out", "wb", buffering=0) as raw:
            monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, write_through=True))
            with stdout_bytes() as out:
                assert not isinstance(out, io.RawIOBase)
                out.write(b"x" * 300_000)
            assert stat.S_ISREG(os.fstat(raw.fileno()).st_mode)
        assert (tmp_path / "out").stat().st_size == 300_000


class TestTerminable:
    def test_the_handler_of_before_is_back_whatever_happens(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        with pytest.raises(ValueError, match="inside"), terminable():
            assert signal.getsignal(signal.SIGTERM) is not before
            raise ValueError("inside")
        assert signal.getsignal(signal.SIGTERM) is before

    def test_a_step_that_is_ended_removes_its_temporary_file(self, place: Path) -> None:
        with pytest.raises(KeyboardInterrupt), terminable():
            try:
                (place / ".new.tmp").write_text("half")
                signal.raise_signal(signal.SIGTERM)
            finally:
                (place / ".new.tmp").unlink()
        assert set(os.listdir(place)) == {"there.csv", "folder.csv"}
