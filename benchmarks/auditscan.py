"""Scanning against a plain loop, and against KP Analysis Toolkit where it is installed.

    python -m benchmarks.auditscan [--data DIR --rules FILE] [--kpat PYTHON] [--rounds N]

Whole processes are run in turn, start-up and imports included; the least processor and wall seconds of each count.
The plain loop is what the toolkit does without its models and its workbook library: every rule that applies
searches every line, and `csv` writes what was found. ``--kpat`` names an interpreter with kp-analysis-toolkit 2.1.3.
Without ``--data`` the example rules search 60 made-up files of 200 kB.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks._rounds import Figure
from fanwise.workloads import auditscan

REAL = Path(__file__).parents[2] / "shared" / "data" / "auditscan"
SOURCE = Path(auditscan.__file__).parents[3]
COMMAND = "import sys; from fanwise.cli import main; sys.exit(main())"
LOOP = """
import csv, sys
from pathlib import Path
from fanwise.workloads import auditscan
from fanwise.workloads.auditscan._decode import decode
from fanwise.workloads.auditscan._filters import applies
from fanwise.workloads.auditscan._identify import identify_lines
from fanwise.workloads.auditscan._lines import Lines
from fanwise.workloads.auditscan._match import Matcher
data, rules, out = sys.argv[1:]
rules = [(rule, Matcher(rule)) for rule in auditscan.load_rules(rules).rules]
Path(out).mkdir()
with open(Path(out, "loop.csv"), "w", newline="") as file:
    rows = csv.writer(file)
    for path in sorted(Path(data).rglob("*.txt")):
        lines = Lines(decode(path.read_bytes()))
        system = identify_lines(lines)
        for rule, matcher in rules:
            if applies(rule, system):
                rows.writerows((rule.name, path.name, *row) for row in matcher.rows(lines.texts, lines.visible))
"""


@dataclass(slots=True)
class Best:
    """Least seconds of one contestant with its workers, and the most memory that the process itself took."""

    name: str
    wall_s: float = float("inf")
    cpu_s: float = float("inf")
    rss_mb: float = 0.0
    scan_s: float = float("inf")
    write_s: float = float("inf")


def scan_words(data: Path, rules: Path, workers: int, *more: str) -> list[str]:
    words = [
        "scan",
        str(data),
        "--rules",
        str(rules),
        "--out",
        "{out}",
        "--format",
        "jsonl,xlsx",
        "-p",
        str(workers),
        "-q",
    ]
    return [sys.executable, "-c", COMMAND, *words, *more]


def contestants(data: Path, rules: Path, kpat: Path | None) -> dict[str, list[str]]:
    """Command lines; ``{out}`` stands for a fresh folder."""
    found = {
        "plain loop": [sys.executable, "-c", LOOP, str(data), str(rules), "{out}"],
        "fanwise -p 1": scan_words(data, rules, 1),
        "fanwise -p 2": scan_words(data, rules, 2),
    }
    if kpat is not None:
        tool = Path(kpat).with_name("kpat_cli")
        conf = ["-c", str(rules.resolve()), "-d", str(data.resolve()), "-o", "{out}"]
        found["kpat"] = [str(kpat), "-W", "ignore", str(tool), "scripts", *conf]
    return found


def run_once(words: Sequence[str], best: Best, scratch: Path) -> None:
    out = scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    if best.name != "kpat":
        environment["PYTHONPATH"] = str(SOURCE)
    began = time.perf_counter()
    with (scratch / "said").open("wb") as said:
        process = subprocess.Popen([w.format(out=out) for w in words], env=environment, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in {0, 3}:
        raise SystemExit(f"{best.name} ended with {process.returncode}: {(scratch / 'said').read_text()[-500:]}")
    best.wall_s, best.cpu_s = min(best.wall_s, wall), min(best.cpu_s, used.ru_utime + used.ru_stime)
    best.rss_mb = max(best.rss_mb, used.ru_maxrss / 1024)
    if (out / "run.json").exists():
        timing = json.loads((out / "run.json").read_text())["timing"]
        best.scan_s, best.write_s = min(best.scan_s, timing["scan_s"]), min(best.write_s, timing["write_s"])


def race(commands: dict[str, list[str]], rounds: int, scratch: Path) -> list[Best]:
    table = [Best(name) for name in commands]
    for turn in range(rounds + 1):
        for best in table if turn % 2 else reversed(table):
            run_once(commands[best.name], best if turn else Best(best.name), scratch)  # the first round warms caches
    return table


def copies(data: Path, scratch: Path, count: int) -> Path:
    """The same files so many times over, under other names."""
    folder = scratch / "copies"
    for number in range(count):
        for path in sorted(data.rglob("*.txt")):
            target = folder / f"{number:02}" / path.relative_to(data)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return folder


def figures(quick: bool) -> Iterator[Figure]:
    """Whole commands against the plain loop on made-up files and, where they are at hand, on real ones."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "audit"
        auditscan.write_samples(data, 20 if quick else 60, kilobytes=200)
        yield from _figures("made-up files, example rules", data, auditscan.example_rules(), 2 if quick else 5)
        if REAL.is_dir():
            reports = Path(folder) / "real"
            reports.mkdir()
            for packed in (REAL / "files").glob("*.txt.gz"):
                (reports / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
            yield from _figures(
                "real reports, 142 rules", reports, REAL / "rules" / "audit-all.yaml", 1 if quick else 2
            )


def _figures(what: str, data: Path, rules: Path, rounds: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        loop, one, two = race(contestants(data, rules, None), rounds, Path(folder))
    yield Figure(f"{what}: plain loop / scan -p 1, processor time", loop.cpu_s / one.cpu_s)
    yield Figure(f"{what}: scan -p 1 / scan -p 2, wall time", one.wall_s / two.wall_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rules", type=Path, default=auditscan.example_rules())
    parser.add_argument("--kpat", type=Path, metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--copies", type=int, default=10, help="0: skip the large set")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        data = given.data
        if data is None:
            data = scratch / "audit"
            auditscan.write_samples(data, 60, kilobytes=200)
        table = race(contestants(data, given.rules, given.kpat), given.rounds, scratch)
        large: list[Best] = []
        if given.copies:
            many = copies(data, scratch, given.copies)
            sets = {f"{given.copies} copies, -p {p}": scan_words(many, given.rules, p) for p in (1, 2)}
            large = race(sets, 1, scratch)
    if given.json:
        print(json.dumps([asdict(best) for best in table + large]))
        return
    base = table[-1] if given.kpat else table[0]
    print(f"{'':<22}{'wall s':>8}{'cpu s':>8}{'MB':>7}{'wall x':>8}{'cpu x':>8}   (x: times {base.name})")
    for best in table:
        ratios = f"{base.wall_s / best.wall_s:>8.1f}{base.cpu_s / best.cpu_s:>8.1f}"
        print(f"{best.name:<22}{best.wall_s:>8.2f}{best.cpu_s:>8.2f}{best.rss_mb:>7.0f}{ratios}")
    for best in large:
        print(f"{best.name:<22}{best.wall_s:>8.2f}{best.cpu_s:>8.2f}{best.rss_mb:>7.0f}")
    if large:
        print(f"two workers over one, {given.copies} copies: {large[0].wall_s / large[1].wall_s:.2f}x")


if __name__ == "__main__":
    main()
