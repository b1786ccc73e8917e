"""Files as people and pipes hand them over: marks, line ends, NULs, pipes, folders, full disks, closed readers."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fanwise.cli import main

PLAIN = b"a,b,c,d\n1,2,3,4\n5,6,7,8\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FANWISE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def ended(capsysbinary: pytest.CaptureFixture[bytes], *words: str) -> tuple[int, list[dict[str, str]], str]:
    """Exit code, rows on stdout, and stderr."""
    code = main(["ci", *words])
    out, err = capsysbinary.readouterr()
    return code, list(csv.DictReader(io.StringIO(out.decode()))), err.decode()


@pytest.mark.parametrize(
    ("data", "uppers"),
    [
        (b"\xef\xbb\xbf" + PLAIN, 2),
        (PLAIN.replace(b"\n", b"\r\n"), 2),
        (PLAIN.removesuffix(b"\n"), 2),
        (PLAIN + b"\n\n", 2),
        (b'"a","b","c","d"\n"1","2","3","4"\n', 1),
        (b"A,B,C,D\n1,2,3,4\n", 1),
        (b"note,a,b,c,d\n" + b"x" * 300_000 + b",1,2,3,4\n", 1),
        (b'note,a,b,c,d\n"' + b'x""\n' * 100_000 + b'",1,2,3,4\n', 1),
        (b'"' + b"x" * 200_000 + b'",a,b,c,d\nn,1,2,3,4\n', 1),
    ],
    ids=[
        "byte-order mark",
        "windows",
        "no last line end",
        "empty lines",
        "quotes",
        "capitals",
        "long field",
        "long quoted field",
        "long name",
    ],
)
def test_the_same_table_in_other_clothes(data: bytes, uppers: int, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    Path("t.csv").write_bytes(data)
    Path("plain.csv").write_bytes(PLAIN)
    limit = csv.field_size_limit()
    code = main(["ci", "t.csv"])
    assert csv.field_size_limit() == limit
    out, err = capsysbinary.readouterr()
    csv.field_size_limit(1 << 20)
    rows = list(csv.DictReader(io.StringIO(out.decode(), newline="")))
    csv.field_size_limit(limit)
    _, plain, _ = ended(capsysbinary, "plain.csv")
    assert code == 0, err
    assert [row["upper"] for row in rows] == [row["upper"] for row in plain[:uppers]]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "t.csv: no header"),
        (b"\n", "t.csv: no header"),
        (b"a,b,c,d\n1,2,3\n", "t.csv, line 2: 3 fields, expected 4"),
        (b"a,b,c,d\n1,2,3,4\n1,2,3,4,5\n", "t.csv, line 3: 5 fields, expected 4"),
        (b"a,b,c,d\n1,2,3,\xe9\n", "t.csv, line 2: not UTF-8 (byte 0xe9)"),
        (b"\xff\xfea\x00,\x00b\x00", "t.csv, line 1: not UTF-8 (byte 0xff)"),
        (b"a,b,c,d,lower\n1,2,3,4,5\n", "the column lower twice (use --prefix)"),
        (b"a,b,c,d,status,alpha\n", "the column status, alpha twice"),
        (b"a,b,c,a,d\n1,2,3,4,5\n", "2 columns are called a"),
        (b"x,b,c,d\n1,2,3,4\n", "no column a; there are x, b, c, d"),
        (b"a|b|c|d\n1|2|3|4\n", "no column a; there are a|b|c|d"),
        (b"a,b,c,d\r1,2,3,4\r", "t.csv, line 1: a carriage return alone ends no line; convert line ends to LF or CRLF"),
    ],
)
def test_a_file_that_holds_no_tables_is_refused_in_one_line(
    data: bytes, says: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    Path("t.csv").write_bytes(data)
    code, rows, err = ended(capsysbinary, "t.csv", "-o", "o.csv")
    assert (code, rows, err.count("\n")) == (2, [], 1)
    assert says in err
    assert not Path("o.csv").exists()


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_csv_file_of_semicolons_or_tabs_is_read_as_if_it_had_commas(
    delimiter: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    header, row = ["Studie; Arm\t1, 2", "a", "b", "c", "d"], ["Müller, 2001", "1", "2", "3", "4"]
    for name, mark in (("other.csv", delimiter), ("commas.csv", ",")):
        with Path(name).open("w", newline="", encoding="utf-8-sig") as file:
            csv.writer(file, delimiter=mark).writerows([header, row])
    outputs = [ended(capsysbinary, name, "-o", f"out-{name}")[0] for name in ("other.csv", "commas.csv")]
    assert outputs == [0, 0]
    found, expected = Path("out-other.csv").read_text(), Path("out-commas.csv").read_text()
    assert found == expected
    assert found.splitlines()[1].startswith('"Müller, 2001",1,2,3,4,conditional,')


def test_a_column_whose_name_holds_a_comma_is_named_in_quotes(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    Path("t.csv").write_text('"N, treated",e1,"say ""N""",e2\n10,5,10,3\n')
    code, _, err = ended(capsysbinary, "t.csv", "--events", 'e1, "N, treated",e2,"say ""N"""', "-o", "o.csv")
    assert (code, err.count("not a count")) == (0, 0), err
    assert "o.csv" not in err
    assert Path("o.csv").read_text().splitlines()[1].startswith("10,5,10,3,conditional,0.05,2.3333333333333335,")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("none.csv", "cannot read none.csv: no such file."),
        ("dangling.csv", "cannot read dangling.csv: no such file."),
        ("folder.csv", "cannot read folder.csv: is a directory."),
        ("t.txt", "t.txt has no known suffix; expected one of .csv, .tsv, .parquet."),
        ("t", "t has no known suffix"),
        ("t.csv/t.csv", "cannot read t.csv/t.csv: not a directory."),
        ("text.parquet", "cannot read text.parquet: not a Parquet file"),
        ("empty.parquet", "cannot read empty.parquet: not a Parquet file"),
    ],
)
def test_a_path_that_cannot_be_read_is_named(path: str, says: str, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    Path("t.csv").write_bytes(PLAIN)
    Path("text.parquet").write_bytes(PLAIN)
    Path("empty.parquet").touch()
    Path("folder.csv").mkdir()
    Path("dangling.csv").symlink_to("nowhere")
    code, _, err = ended(capsysbinary, path)
    assert (code, says in err, err.count("\n")) == (2, True, 1), err


def test_a_link_is_followed_and_a_name_may_be_any_bytes(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    odd = os.fsdecode("d\xe4ta".encode("latin-1") + b".csv")
    Path(odd).write_bytes(PLAIN)
    Path("link.csv").symlink_to(odd)
    for name in (odd, "link.csv"):
        code, rows, _ = ended(capsysbinary, name)
        assert (code, [row["status"] for row in rows]) == (0, ["ok", "ok"])


def test_a_named_pipe_is_read_once(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    os.mkfifo("pipe.csv")
    writer = threading.Thread(target=lambda: Path("pipe.csv").write_bytes(PLAIN))
    writer.start()
    code, rows, err = ended(capsysbinary, "pipe.csv", "--plot", "f.svg")
    writer.join()
    assert (code, len(rows)) == (0, 2), err
    assert "</svg>" in Path("f.svg").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-o", "nowhere/o.csv"], "cannot write nowhere/o.csv: no such file."),
        (["-o", "folder.csv"], "folder.csv exists; use --force"),
        (["-o", "folder.csv", "--force"], "cannot write folder.csv: is a directory."),
        (["-o", "t.csv"], "t.csv exists; use --force"),
        (["-o", "o.txt"], "o.txt has no known suffix"),
        (["--plot", "f.png"], "f.png has no known suffix; expected one of .svg."),
        (["--report", "nowhere/r.html"], "cannot write nowhere/r.html: no such file."),
        (["--trace", "folder.csv"], "'folder.csv' is a directory"),
        (["--json"], "--json needs -o FILE"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_any_work(
    words: list[str], says: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    Path("t.csv").write_bytes(PLAIN)
    Path("folder.csv").mkdir()
    code = main(["ci", "t.csv", *words])
    assert code == 2
    assert says in capsysbinary.readouterr().err.decode()
    assert Path("t.csv").read_bytes() == PLAIN
    assert sorted(os.listdir()) == ["folder.csv", "t.csv"]


@pytest.mark.parametrize(
    "useless",
    [
        ["-o", "o.csv"], ["--plot", "f.svg"], ["--columns", "a,b,c,d"], ["--events", "a,b,c,d"], ["--matrix"],
        ["--adjust", "bh"], ["--label", "a"], ["--report", "r.html"], ["--trace", "t.json"],
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_a_table_on_the_command_line_refuses_what_it_would_not_do(
    useless: list[str], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    code, _, err = ended(capsysbinary, "--table", "1,2,3,4", *useless)
    assert code == 2
    assert "--table prints its result; " in err
    assert os.listdir() == []


def test_a_table_may_be_sent_to_standard_output_by_name(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["ci", "--table", "1,2,3,4", "-o", "-"]) == 0
    assert b"20.2963" in capsysbinary.readouterr().out


@pytest.mark.parametrize("command", [["--table", "3,1,1,3"], ["t.csv"]])
@pytest.mark.slow
def test_a_full_disk_and_a_reader_that_left(command: list[str]) -> None:
    """/dev/full stands for the disk; the reader closes before anything is written."""
    Path("t.csv").write_bytes(PLAIN)
    line = [sys.executable, "-m", "fanwise", "ci", *command]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "no space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb") as gone:
        done = subprocess.run(line, stdout=gone, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (141, False)


CELLS = st.text(st.sampled_from(list('0123456789 ,"\n\r\t\x00;.-+eé')), max_size=12)


@settings(max_examples=150)
@given(body=CELLS, tail=st.sampled_from(["", "\n", "\r\n"]))
@example(body='"', tail="")
@example(body="1,2,3,4\r", tail="")
@example(body="1,2,3,\x00", tail="\n")
def test_any_text_is_computed_marked_or_refused(body: str, tail: str) -> None:
    """Exit codes 0, 2 and 3 only; and standard output is a table whenever it is not 2."""
    keep = sys.stdin, sys.stdout, sys.stderr
    out, err = SimpleNamespace(buffer=io.BytesIO(), flush=lambda: None), io.StringIO()
    sys.stdin, sys.stdout, sys.stderr = SimpleNamespace(buffer=io.BytesIO(f"a,b,c,d\n{body}{tail}".encode())), out, err
    try:
        code = main(["ci", "-", "-p", "1", "--progress", "none"])
    finally:
        sys.stdin, sys.stdout, sys.stderr = keep
    assert code in {0, 2, 3}, err.getvalue()
    if code == 2:
        assert "standard input" in err.getvalue()
        assert out.buffer.getvalue() == b""
        return
    rows = list(csv.reader(io.StringIO(out.buffer.getvalue().decode(), newline="")))
    assert {len(row) for row in rows} == {12}
    assert (code == 3) == any(row[-1] not in {"ok", "empty_margin"} for row in rows[1:])
