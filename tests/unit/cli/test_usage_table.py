"""What can be typed wrong: each line ends with code 2, one message that names the culprit, and nothing written."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanwise.cli import main

TABLE = "a,b,c,d\n1,2,3,4\n"
RULES = "root: {regex: root}\n"
BROKEN = "a: {regex: '(('}\nb: {regex: x, max_results: 0}\n"
CONFIG = """
[data]
file = "data.csv"
time = "t"
target = "y"
train = [1, 40]
[search]
[[search.group]]
name = "g"
items = ["x:LV,DF(1)"]
"""

WRONG = [
    # options of every workload
    ("ci t.csv -p 0", 'fanwise: -p expects a number ≥ 1 or "auto", not "0".'),
    ("ci t.csv -p -1", 'fanwise: -p expects a number ≥ 1 or "auto", not "-1".'),
    ("ci t.csv -p 1.5", 'fanwise: -p expects a number ≥ 1 or "auto", not "1.5".'),
    ("scan audit --rules r.yaml --out o -p x", 'fanwise: -p expects a number ≥ 1 or "auto", not "x".'),
    ("search run s.toml -p ½", 'fanwise: -p expects a number ≥ 1 or "auto", not "½".'),
    ("ci t.csv --progress loud", "Invalid value for '--progress': 'loud' is not one of"),
    ("ci t.csv --alfa 0.1", "fanwise ci: no option --alfa. Did you mean --alpha?"),
    ("scan audit --rules r.yaml --uot o", "fanwise scan: no option --uot. Did you mean --out?"),
    ("ci t.csv -o", "'-o' requires an argument"),
    ("ci t.csv --report no/r.html", "fanwise ci: cannot write no/r.html: no such file."),
    ("ci t.csv --trace no/t.json", "fanwise ci: cannot write no/t.json: no such file."),
    ("scan audit --rules r.yaml --out o --report no/r.html", "fanwise scan: cannot write no/r.html: no such file."),
    ("search run s.toml --report no/r.html", "fanwise search: cannot write no/r.html: no such file."),
    ("ci t.csv --backend somewhere", "backend must be one of"),
    # ci
    ("ci", "fanwise ci: no input; give a .csv, .tsv or .parquet file"),
    ("ci t.csv u.csv", "unexpected extra argument (u.csv)"),
    ("ci none.csv", "fanwise ci: cannot read none.csv: no such file."),
    ("ci s.toml", "s.toml has no known suffix; expected one of .csv, .tsv, .parquet."),
    ("ci t.csv --alpha 0", "alpha is 0.0; it must lie between 0 and 1"),
    ("ci t.csv --alpha 1", "alpha is 1.0; it must lie between 0 and 1"),
    ("ci t.csv --alpha nan", "alpha is nan; it must lie between 0 and 1"),
    ("ci t.csv --alpha five", "'five' is not a valid float"),
    ("ci t.csv --method mid", "method 'mid' is unknown; did you mean 'midp'? allowed: conditional, midp"),
    ("ci t.csv --method wald,", "method '' is unknown"),
    ("ci t.csv --alternative up", "'up' is not one of 'two-sided', 'less', 'greater'"),
    ("ci t.csv --alternative less --alpha 0.5", "alpha is 0.5; a one-sided interval needs alpha below 0.5"),
    ("ci t.csv --alternative less --method all", "has no one-sided interval; alternative 'less' is for conditional"),
    ("ci t.csv --alternative greater --method wald,minlike", "method 'minlike' has no one-sided interval"),
    ("ci t.csv --columns a,b,c", "--columns a,b,c: 3 names; expected four"),
    ("ci t.csv --columns a,b,c,", "--columns a,b,c,: 4 names; expected four"),
    ("ci t.csv --columns a,b,c,d --events a,b,c,d", "--columns a,b,c,d and --events a,b,c,d: give one of them."),
    ("ci t.csv --columns a,b,c,z", "t.csv: no column z; there are a, b, c, d (name the four with --columns"),
    ("ci t.csv --events a,b,c,z", "t.csv: no column z; there are a, b, c, d (name the four with --events"),
    ("ci t.csv --label z", "t.csv: no column z; there are a, b, c, d (see --label)"),
    ("ci t.csv --table 1,2,3,4", "--table 1,2,3,4 and the input t.csv: give one of them."),
    ("ci --table 1,2,3", "--table 1,2,3: 3 counts; expected four"),
    ("ci --table 1,2,3,x", '--table 1,2,3,x: d is "x", not a count (expected a whole number from 0'),
    ("ci --table 1,2,3,-4", 'd is "-4", not a count'),
    ("ci --table 1,2,3,4.5", 'd is "4.5", not a count'),
    ("ci --table 1,2,3,NA", 'd is "NA", not a count'),
    ("ci --table 1,2,3,1e10", 'd is "1e10", not a count'),
    ("ci t.csv --plot-rows 0", "0 is not in the range"),
    ("ci t.csv --plot f.jpg", "f.jpg has no known suffix; expected one of .svg."),
    ("ci t.csv -o t.csv", "t.csv exists; use --force to overwrite it."),
    ("ci t.csv --measure rr", "'rr' is not 'or'"),
    ("ci t.csv --resume --cache-dir r.yaml", "r.yaml"),
    ("ci t.csv --trace t.csv", "t.csv is named twice; an output needs a file of its own."),
    ("ci t.csv -o o.csv --trace ./o.csv", "o.csv is named twice"),
    ("ci t.csv --report r.html --trace r.json", "r.json is named twice"),
    ("ci t.csv --report r.json", "r.json is named twice"),
    ("ci t.csv --plot p.svg --trace p.svg", "p.svg is named twice"),
    # ci coverage
    ("ci coverage --n1 5 --n2 5 --p2 0.2 --p1 0.2 -o c.csv --trace c.csv", "c.csv is named twice"),
    ("ci coverage --n1 5 --n2 5 --p2 0.2", "give exactly one of --p1 and --odds-ratio."),
    ("ci coverage --n1 5 --n2 5 --p2 0.2 --p1 0.2 --odds-ratio 1", "give exactly one of --p1 and --odds-ratio."),
    ("ci coverage --n1 0 --n2 5 --p2 0.2 --p1 0.2", "0 is not in the range x>=1"),
    ("ci coverage --n1 9999 --n2 9999 --p2 0.2 --p1 0.2", "at most 4,000,000"),
    ("ci coverage --n1 5 --n2 5 --p2 0,0.5 --p1 0.2", "--p2 0,0.5: 0.0 is out of range"),
    ("ci coverage --n1 5 --n2 5 --p2 0.5 --p1 1", "--p1 1: 1.0 is out of range"),
    ("ci coverage --n1 5 --n2 5 --p2 0.5 --odds-ratio inf", "--odds-ratio inf: inf is out of range"),
    ("ci coverage --n1 5 --n2 5 --p2 a:b:c --p1 0.2", "--p2 a:b:c: expected 0.1,0.2,0.5 or START:STOP:COUNT"),
    ("ci coverage --n1 5 --n2 5 --p2 0.1:0.5:0 --p1 0.2", "--p2 0.1:0.5:0: expected"),
    ("ci coverage --n1 5 --n2 5 --p2 log:0:1:5 --p1 0.2", "--p2 log:0:1:5: expected"),
    ("ci coverage --n1 5 --n2 5 --p2 0.1:0.5:3:4 --p1 0.2", "--p2 0.1:0.5:3:4: expected"),
    ("ci coverage --n1 5 --n2 5 --p2 0.1 --p1 0.2 -o c.txt", "c.txt has no known suffix; expected one of .csv."),
    ("ci coverage --n1 300 --n2 300 --p2 0.1 --p1 0.2 --methods unconditional", "unconditional takes at most"),
    # search
    ("search run none.toml", "cannot read none.toml"),
    ("search run .", "cannot read ."),
    ("search run t.csv", "t.csv: not a TOML document"),
    ("search run s.toml", "cannot read data.csv: no such file"),
    ("search run", "Missing argument 'CONFIG...'"),
    ("search run s.toml --range 5:5", '--range expects A:B with A < B, such as 0:1000000, not "5:5".'),
    ("search run s.toml --range 5", '--range expects A:B with A < B, such as 0:1000000, not "5".'),
    ("search run s.toml --range -1:5", '--range expects A:B with A < B, such as 0:1000000, not "-1:5".'),
    ("search run s.toml --verify -1", "-1 is not in the range x>=0"),
    ("search plan none.toml", "cannot read none.toml"),
    ("search plan s.toml --list -1", "-1 is not in the range x>=0"),
    ("search show none.toml", "cannot read none.toml"),
    ("search show s.toml -o t.csv", "'t.csv' is a file"),
    ("search export s.toml --id 0", "Missing option '-o'"),
    ("search export s.toml --id 0 -o t.csv", "t.csv exists; use --force to overwrite it."),
    ("search export s.toml --id 0 -o x --format r", "'r' is not one of"),
    ("search forecast s.toml -o x", "Missing option '--future'"),
    ("search forecast s.toml --future a.csv --future b.csv -o x", "of several files each needs a name"),
    ("search forecast s.toml --future n=a.csv --future n=b.csv -o x", "two scenarios are called n"),
    ("search forecast s.toml --future a.csv --ids 1,x -o y", "--ids expects numbers with commas between them"),
    ("search forecast s.toml --future a.csv --top 0 -o y", "0 is not in the range x>=1"),
    ("search runn s.toml", "fanwise search: no command runn. Did you mean run?"),
    ("search run s.toml --trace s.toml", "s.toml is named twice"),
    ("search run s.toml -o kept --report kept/run.html", "kept/run.json is named twice"),
    ("search run s.toml s.toml --trace s.search/run.json", "s.search/run.json is named twice"),
    # scan
    ("scan audit --rules r.yaml --out kept --report kept/run.html", "kept/run.json is named twice"),
    ("scan audit --rules r.yaml --out o --trace r.yaml", "r.yaml is named twice"),
    ("scan", "no --rules; give a rule file"),
    ("scan --rules r.yaml", "no --out; give a folder"),
    ("scan audit --rules r.yaml", "no --out; give a folder"),
    ("scan --rules r.yaml --out o", "no PATH; give audit files"),
    ("scan nothing --rules r.yaml --out o", "cannot read nothing: no such file."),
    ("scan audit --rules none.yaml --out o", "none.yaml: cannot be read"),
    ("scan audit --rules broken.yaml --out o", "broken.yaml:1: rule 'a': 'regex' is not a regular expression"),
    ("scan audit --rules broken.yaml --out o", "broken.yaml:2: rule 'b': 'max_results' is 0"),
    ("scan audit --rules audit --out o", "audit: no rule files (*.yaml, *.yml) in this folder"),
    ("scan audit --rules r.yaml --out o --glob *.md", "no files match '*.md' under audit"),
    ("scan audit --rules r.yaml --out o --format pdf", "format is 'pdf'; expected xlsx, jsonl, csv, sarif"),
    ("scan audit --rules r.yaml --out o --format xlsx,", "format is ''; expected xlsx"),
    ("scan audit --rules r.yaml --out o --compat other", "'other' is not 'kpat'"),
    ("scan audit --rules r.yaml --out o --unknown maybe", "'maybe' is not one of 'skip', 'scan'"),
    ("scan audit --rules r.yaml --out o --encoding klingon", "encoding is 'klingon', which Python does not know"),
    ("scan audit --rules r.yaml --out o --encoding base64", "encoding is 'base64'"),
    ("scan audit --rules r.yaml --out o --rule-timeout -1", "rule_timeout is -1.0; expected seconds ≥ 0"),
    ("scan audit --rules r.yaml --out o --rule-timeout inf", "rule_timeout is inf; expected seconds ≥ 0"),
    ("scan audit --rules r.yaml --out t.csv", "cannot write t.csv"),
    ("scan audit --rules r.yaml --out o --only nothing*", "nothing*"),
    ("scan audit --rules r.yaml --list rules", "'rules' is not one of 'systems', 'files', 'sections'"),
    ("scan rules", "rules is a command here, see --help; a folder of that name is ./rules."),
    ("scan rules check", "Missing argument 'RULES'"),
    ("scan rules check broken.yaml", "broken.yaml:1: rule 'a'"),
    ("scan rules list none.yaml", "none.yaml: cannot be read"),
    ("scan rules explain root", "Missing option '--rules'"),
    ("scan rules explain rot --rules r.yaml", "no rule is called 'rot'. Did you mean root?"),
    ("scan rules explain root --rules r.yaml --file none.txt", "cannot read none.txt: no such file"),
    ("scan diff audit", "Missing argument 'AFTER'"),
    ("scan diff none none", "cannot read none: no such file"),
    ("scan diff t.csv t.csv", "t.csv"),
    # the others
    ("report", "Missing argument 'RUN.json'"),
    ("report none.json", "fanwise report: cannot read none.json: no such file."),
    ("report t.csv", "t.csv: this is not a fanwise report: it is not JSON"),
    ("report audit", "'audit' is a directory"),
    ("report t.csv --html t.csv", "t.csv is named twice; an output needs a file of its own."),
    ("doctor --nope", "fanwise doctor: no option --nope."),
    ("bench --grid none.toml", "none.toml"),
    ("bench --peers nobody", "--peers nobody: expected auto, none or some of"),
    ("nothing", "fanwise: no command nothing."),
    ("serch run s.toml", "fanwise: no command serch. Did you mean search?"),
    ("help me", "fanwise help: no page me."),
    ("completion tcsh", "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
    ("cache", "Usage: fanwise cache"),
    ("cache prun", "fanwise cache: no command prun. Did you mean prune?"),
    ("cache prune --max-size lots", "lots"),
    ("cache prune --older-than 3y", "3y"),
    ("cache list --limit 0", "0 is not in the range x>=1"),
    ("cache list --sort colour", "'colour' is not one of"),
    ("demo --only tea", "'tea' is not one of"),
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """A folder with an input of each kind; the names in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FANWISE_CACHE_DIR", str(tmp_path / "kept" / "cache"))
    (tmp_path / "kept").mkdir()
    for name, text in {"t.csv": TABLE, "r.yaml": RULES, "broken.yaml": BROKEN, "s.toml": CONFIG}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "web.txt").write_text("KPNIXVERSION: 0.6.22\nroot\n")
    return {"t.csv", "r.yaml", "broken.yaml", "s.toml", "audit", "kept"}


@pytest.mark.parametrize(("line", "says"), WRONG, ids=[line for line, _ in WRONG])
def test_a_wrong_line_is_answered_and_does_nothing(
    line: str, says: str, place: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert says in err
    assert out == ""
    assert "Traceback" not in err
    assert set(os.listdir()) - {"o"} == place
    assert not [name for name in os.listdir("o") if not name.startswith(".")] if Path("o").exists() else True


MACHINES = [
    "ci none.csv --json -o o.csv",
    "ci t.csv --json -p 0",
    "ci t.csv -p 0 --json",
    "ci t.csv --json --nope",
    "ci coverage --json --n1 0",
    "search run none.toml --json",
    "search plan none.toml --json",
    "search show none.toml --json",
    "scan nothing --rules r.yaml --out o --json",
    "scan audit --rules broken.yaml --out o --json",
    "scan rules check broken.yaml --json",
    "scan rules explain x --rules r.yaml --json",
    "scan diff none none --json",
]


@pytest.mark.parametrize("line", MACHINES)
def test_a_machine_that_asked_gets_one_object_for_a_wrong_line(
    line: str, place: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert (told["schema"], told["exit_code"], told["outputs"]) == ("fanwise.summary/1", 2, [])
    assert told["problems"] == [{"where": "", "message": err.removesuffix("\n")}]
    assert told["command"] == line.split()[0]


@pytest.mark.parametrize(
    "line",
    [
        "search plan s.toml --json",
        "search run s.toml --json -q",
        "search show s.toml --json",
        "scan audit --rules r.yaml --out o --json --format jsonl",
        "scan rules check r.yaml --json",
        "scan rules list r.yaml --json",
        "scan rules explain root --rules r.yaml --json",
        "scan audit --list files --json",
        "scan audit --list sections --json",
        "ci t.csv -o o.csv --json",
        "ci --table 1,2,3,4 --json",
        "ci coverage --n1 3 --n2 3 --p2 0.2 --p1 0.3 -o o.csv --json",
    ],
)
def test_every_object_for_machines_has_the_common_fields(
    line: str, place: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{t},{(t * 7) % 11},{(t * 7) % 11 + (t * 5) % 3}\n" for t in range(1, 41))
    Path("data.csv").write_text("t,x,y\n" + rows)
    if line.startswith("search show"):
        assert main(["search", "run", "s.toml", "-q", "-p", "1"]) == 0
        capsys.readouterr()
    assert main(line.split()) == 0
    told = json.loads(capsys.readouterr().out)
    assert {"schema", "command", "exit_code", "outputs", "items", "wall_s", "speedup_estimate", "problems"} <= set(told)
    assert line.startswith(told["command"])
    assert (told["schema"], told["exit_code"], told["problems"]) == ("fanwise.summary/1", 0, [])
    for output in told["outputs"]:
        assert Path(output["path"]).exists()
        assert len(output["sha256"]) == 64


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--version"], ["help", "exit-codes"], ["ci", "--table", "3,1,1,3"]])
def test_the_module_can_be_run(words: list[str], place: set[str], capfd: pytest.CaptureFixture[str]) -> None:
    """``python -m fanwise`` is the command, for those whose PATH does not have it."""
    done = subprocess.run([sys.executable, "-m", "fanwise", *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert main(words) == 0
    assert capfd.readouterr().out == done.stdout


WORDS = st.sampled_from(
    [
        "ci",
        "search",
        "scan",
        "run",
        "plan",
        "rules",
        "cache",
        "info",
        "list",
        "help",
        "--json",
        "-q",
        "-p",
        "1",
        "0",
        "--force",
        "--",
        "-",
        "t.csv",
        "s.toml",
        "r.yaml",
        "audit",
        "--rules",
        "--list",
        "files",
        "--columns",
        "a,b,c,d",
        "--nope",
        "é",
        "-vv",
        "--check",
        "--alpha",
        "0.1",
        "--method",
        "--events",
        "diff",
        "check",
        "--help",
        "explain",
    ]
)


@settings(max_examples=100)
@given(words=st.lists(WORDS, max_size=5))
def test_no_line_of_words_is_a_defect(words: list[str]) -> None:
    """Any words in any order end with 0, 2 or 3; a line of one command never falls through to another."""
    keep = os.getcwd(), sys.stdin, sys.stdout, sys.stderr
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["FANWISE_CACHE_DIR"] = f"{folder}/cache"
        Path("t.csv").write_text(TABLE)
        Path("r.yaml").write_text(RULES)
        sys.stdin = SimpleNamespace(buffer=io.BytesIO(TABLE.encode()), isatty=lambda: False)
        sys.stdout, sys.stderr = io.TextIOWrapper(io.BytesIO()), io.StringIO()
        try:
            code = main(words)
            said = sys.stderr.getvalue()
        finally:
            del os.environ["FANWISE_CACHE_DIR"]
            os.chdir(keep[0])
            sys.stdin, sys.stdout, sys.stderr = keep[1:]
    assert code in {0, 2, 3}, said
    assert "This is a defect" not in said
