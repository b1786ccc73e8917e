"""``fanwise scan``: search audit files with a rule set."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fanwise.cli._errors import Exit
from fanwise.cli._options import RunOptions, epilog, workload_options
from fanwise.cli._outputs import check_reports, tell_problems, terminable, write_reports
from fanwise.cli._scan_lists import print_rules, show
from fanwise.cli._summary import Output, Summary, print_json
from fanwise.errors import UsageError
from fanwise.workloads.auditscan._options import COMPAT, FORMATS, UNKNOWN, check_options, checked_formats

if TYPE_CHECKING:
    from fanwise.workloads.auditscan import RuleSet, ScanResult, ScanService

__all__ = ["load", "scan"]

JOURNAL = ".fanwise-scan"


@click.command(
    context_settings={"show_default": True},
    epilog=epilog(
        "fanwise scan audit/ --rules rules/all.yaml --out results --format xlsx,jsonl",
        "fanwise scan audit/web1.txt audit/db1.txt --rules rules/ --out r2 --compat kpat --format jsonl -p 1",
        "fanwise scan audit/ --rules rules/ --check",
        "fanwise scan rules list|check|explain --help · fanwise scan diff --help",
    ),
)
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option("--rules", metavar="RULES.yaml|DIR", help="Rule file, or a folder of them.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Folder for the results.")
@click.option("--format", "formats", default="xlsx", metavar="F[,F…]", help=", ".join(FORMATS))
@click.option("--compat", type=click.Choice(COMPAT), help="kpat: results as KP Analysis Toolkit 2.1.3 has them.")
@click.option("--glob", default="*.txt", help="Which files of a folder are scanned.")
@click.option("--unknown", type=click.Choice(UNKNOWN), default="skip", help="Files that are no audit reports.")
@click.option("--encoding", metavar="NAME", help="Encoding of all files.  [default: found out for each]")
@click.option("--rule-timeout", type=float, default=5.0, metavar="SECONDS", help="For one rule in one file; 0: none.")
@click.option("--only", multiple=True, metavar="PATTERN", help="Only rules with such names; may be repeated.")
@click.option("--strict", is_flag=True, help="Warnings about rules are errors.")
@click.option("--check", is_flag=True, help="Check the rules and list them; scan nothing.")
@click.option("--list", "listing", type=click.Choice(["systems", "files", "sections"]), help="List; scan nothing.")
@workload_options
def scan(options: RunOptions, **own: Any) -> int:
    """Search the audit files in PATH... with the rules in RULES, and write the results into DIR.

    A PATH is a file, or a folder whose matching files are taken. Each rule of the set applies to the systems that its
    filters admit. Nothing of the files is kept outside DIR unless --cache-dir is given.
    """
    began = time.perf_counter()
    if own["paths"][:1] in {("rules",), ("diff",)}:
        word = own["paths"][0]
        raise UsageError(f"{word} is a command here, see --help; a folder of that name is ./{word}.")
    check_options(own["compat"], own["unknown"], own["encoding"], own["rule_timeout"])
    formats = checked_formats(word.strip() for word in own["formats"].split(","))
    if own["listing"]:
        return show(own["listing"], _paths(own), own["glob"], own["encoding"], options)
    rules = load(own["rules"], own["compat"], own["only"], strict=own["strict"])
    if own["check"]:
        return print_rules(rules, options.json, "scan")
    for warning in rules.warnings:
        options.note(f"fanwise scan: {warning}")
    if own["out"] is None:
        raise UsageError("no --out; give a folder for the results.")
    others = *map(Path, (*own["paths"], own["rules"])), own["out"] / "run.json"
    check_reports(options, *others, folder=own["out"])
    return _Scan(options, own, rules, formats, began).run()


def _paths(own: dict[str, Any]) -> Sequence[str]:
    paths: Sequence[str] = own["paths"]
    if not paths:
        raise UsageError("no PATH; give audit files, or folders of them.")
    return paths


def load(path: str | None, compat: str | None, patterns: Sequence[str] = (), *, strict: bool = False) -> RuleSet:
    """Read the rules that the options name."""
    if path is None:
        raise UsageError("no --rules; give a rule file, or a folder of them.")
    from fanwise.workloads.auditscan import _ruleset, load_rules

    rules = load_rules(path, compat=compat)
    if strict:
        _ruleset.strict(rules)
    return _ruleset.only(rules, patterns) if patterns else rules


@dataclass(frozen=True, slots=True)
class _Scan:
    """One scan from the command line."""

    options: RunOptions
    own: dict[str, Any]
    rules: RuleSet
    formats: tuple[str, ...]
    began: float

    def run(self) -> int:
        """Search, write, tell; an interrupt writes what there is and goes on."""
        from fanwise.workloads.auditscan import ScanInterrupted

        journal = self._journal()
        with self._service() as service:
            try:
                result = self._search(service, journal)
            except ScanInterrupted as stop:
                self._write_partial(service, stop.result)
                write_reports(stop.result.report, self.options, "scan")
                raise
            try:
                with terminable():
                    paths = self._write(service, result)
            except KeyboardInterrupt as stop:
                self._write_partial(service, result)
                stop.args = (f"{len(result.files):,} of {len(result.files):,} files are kept.",)
                raise
        summary = self._summary(
            result, paths, [*_problems(result), *write_reports(result.report, self.options, "scan")]
        )
        _forget(journal)
        return self._tell(result, summary)

    def _journal(self) -> Path:
        """Where finished files are kept; what an earlier scan left is used, refused or thrown away."""
        from fanwise.workloads.auditscan import io

        out: Path = self.own["out"]
        journal = out / JOURNAL
        if self.options.force:
            _forget(journal, unless_in_use=True)
        elif not self.options.resume:
            io.refuse_earlier(out)
            if journal.exists():
                raise UsageError(f"{out} holds an unfinished scan; use --resume to go on, or --force to start afresh.")
        return journal

    def _service(self) -> ScanService:
        import fanwise
        from fanwise.workloads.auditscan import ScanService

        factory = partial(fanwise.Executor, backend=self.options.backend)
        return ScanService(factory, self.options.bar("scan", parts=2))  # searching and writing

    def _search(self, service: ScanService, journal: Path) -> ScanResult:
        own = self.own
        result = service.search(
            _paths(own),
            self.rules,
            **{name: own[name] for name in ("glob", "compat", "unknown", "encoding", "rule_timeout")},
            workers=self.options.parallel,
            cache=self._cache(),
            resume=journal,
        )
        return replace(result, seconds=time.perf_counter() - self.began)

    def _cache(self) -> Path | None:
        """Audit files are confidential: only a cache that was asked for by name is used."""
        source = click.get_current_context().get_parameter_source("cache_dir")
        wanted = source is ParameterSource.COMMANDLINE and not self.options.no_cache
        return self.options.cache_dir if wanted else None

    def _write(self, service: ScanService, result: ScanResult) -> list[Path]:
        return service.write(result, self.own["out"], self.formats, workers=self.options.parallel, force=True)

    def _write_partial(self, service: ScanService, result: ScanResult) -> None:
        with terminable():
            self._write(service, replace(result, partial=True))

    def _summary(self, result: ScanResult, paths: Sequence[Path], problems: Sequence[tuple[str, str]]) -> Summary:
        from fanwise.workloads.auditscan._reports import counts, timing

        counted = counts(result)
        seconds = time.perf_counter() - self.began
        own = {
            "workload": "scan",
            "counts": counted,
            "timing": timing(result, seconds - result.seconds),
            "resumed": result.resumed,
            "cached": result.cached,
            "warnings": list(result.rules.warnings),
        }
        rows = {"results.jsonl": counted["matches"], "results.csv": counted["matches"]}
        outputs = [Output(str(path), rows.get(path.name)) for path in paths]
        code = Exit.PARTIAL if problems else Exit.DONE
        return Summary("scan", code, outputs, result.report, self.options.report, seconds, problems, own)

    def _tell(self, result: ScanResult, summary: Summary) -> int:
        from fanwise.workloads.auditscan._reports import unmet

        counted = summary.own["counts"]
        tell_problems("fanwise scan", summary.problems)
        for name, files in unmet(result):
            more = f" and {len(files) - 3:,} more" if len(files) > 3 else ""
            self.options.note(f"fanwise scan: not as '{name}' expects: {', '.join(files[:3])}{more}")
        if excused := sum(file.excused for file in result.files):
            are = "1 file is no audit report" if excused == 1 else f"{excused:,} files are no audit reports"
            self.options.note(f"fanwise scan: {are} and not searched; --unknown scan searches such files too")
        reused = ", ".join(f"{n:,} {word}" for word, n in (("resumed", result.resumed), ("cached", result.cached)) if n)
        self.options.note(
            f"fanwise scan: {counted['done']:,} of {counted['files']:,} files, {counted['rules']:,} rules, "
            f"{counted['matches']:,} matches in {summary.wall_s:.2f} s{reused and f' ({reused})'}: {self.own['out']}"
        )
        if self.options.json:
            print_json(summary)
        return int(summary.exit_code)


def _problems(result: ScanResult) -> Iterator[tuple[str, str]]:
    """What makes a scan end with exit code 3."""
    for file in result.files:
        if file.status != "done" and not file.excused:
            yield file.path, f"{file.status}: {file.reason}"
        for hits in file.hits:
            if hits.status != "ok":
                yield file.path, f"rule '{hits.rule.name}': {hits.status}: {hits.reason}"


def _forget(journal: Path, *, unless_in_use: bool = False) -> None:
    from fanwise.workloads.auditscan import io

    io.remove_journal(journal, unless_in_use=unless_in_use)
