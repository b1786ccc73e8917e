"""``fanwise demo``: the main jobs on real input, as a plain loop and with fanwise, and whether the results are the same."""

from __future__ import annotations

import os
import platform
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, TextIO

import click

from fanwise.cli._demo_jobs import JOBS, Measured, Way, load, measure
from fanwise.cli._errors import Exit
from fanwise.cli._options import epilog
from fanwise.cli._page import page

__all__ = ["demo"]

HEAD = ("job", "items", "loop", "fanwise", "gain", "identical", "report")
WAYS = (14, 9, 9, 9, 5, 10, 0)


@click.command(epilog=epilog("fanwise demo", "fanwise demo --only ci --out my-demo --json"))
@click.option("--only", multiple=True, type=click.Choice(list(JOBS)), help="Only this job (repeatable).")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("demo-report"), show_default=True,
              help="Where the report goes.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The table for machines on stdout.")
def demo(only: tuple[str, ...], out: Path, as_json: bool) -> int:
    """Run each job once as a plain loop and once with fanwise, on real input that comes with the package."""
    out.mkdir(parents=True, exist_ok=True)
    say = sys.stderr if as_json else sys.stdout
    print(f"fanwise demo · {len(os.sched_getaffinity(0))} cores · Python {platform.python_version()}", file=say)
    print(row(HEAD), file=say)
    done = []
    for name in only or JOBS:
        measured = measure(load(name))
        done.append(measured)
        (out / f"{name}.html").write_text(measured.report.told_as(label=name).to_html(), encoding="utf-8")
        print(row(cells(measured, out)), file=say, flush=True)
    (out / "index.html").write_text(page(done), encoding="utf-8")
    for measured in done:
        print(f"{measured.job.name}: {measured.report.reason}", file=say)
    beside = compared(done[0], say) if len(only) == 1 and done[0].job.ways is not None else []
    same = all(measured.identical for measured in done) and all(way["identical"] for way in beside)
    print(f"All results are identical to the plain loop: {'yes' if same else 'NO'}", file=say)
    print(f"Next: open {out / 'index.html'} · fanwise ci --help", file=say)
    if as_json:
        import json

        print(
            json.dumps(
                {"schema": "fanwise.demo/1", "identical": same, "jobs": [facts(m) for m in done], "ways": beside}
            )
        )
    return Exit.DONE if same else Exit.DEFECT


def compared(measured: Measured, say: TextIO) -> list[dict[str, Any]]:
    """Run the job in its other ways, print each beside the plain loop, and return the same for machines."""
    print(row(("way", "run", "seconds", "loop / it", "hits", "identical", "why"), WAYS), file=say)
    return [_told(way, measured, say) for way in measured.job.ways()] if measured.job.ways else []


def _told(way: Way, measured: Measured, say: TextIO) -> dict[str, Any]:
    identical = sha256(way.output).hexdigest() == measured.loop_digest
    gain = measured.loop_s / way.seconds
    texts = (f"{way.seconds:.3f} s", f"{gain:.1f}x", f"{way.hits}", "yes" if identical else "NO", way.reason)
    print(row((way.name, way.run, *texts), WAYS), file=say, flush=True)
    told = {"way": way.name, "run": way.run, "seconds": way.seconds, "gain": gain, "hits": way.hits}
    return {**told, "identical": identical, "reason": way.reason}


def row(texts: tuple[str, ...], widths: tuple[int, ...] = (9, 10, 9, 9, 7, 10, 0)) -> str:
    """One line of a table."""
    return " ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)).rstrip()


def cells(measured: Measured, out: Path) -> tuple[str, ...]:
    """What a person reads of one job."""
    return (
        measured.job.name,
        f"{measured.job.items:,}",
        f"{measured.loop_s:.2f} s",
        f"{measured.fanwise_s:.2f} s",
        f"{measured.gain:.2f}x",
        "yes" if measured.identical else "NO",
        str(out / f"{measured.job.name}.html"),
    )


def facts(measured: Measured) -> dict[str, Any]:
    """What a machine reads of one job."""
    return {
        "job": measured.job.name,
        "items": measured.job.items,
        "loop_s": measured.loop_s,
        "fanwise_s": measured.fanwise_s,
        "gain": measured.gain,
        "identical": measured.identical,
        "sha256": measured.fanwise_digest,
        "reason": measured.report.reason,
    }
