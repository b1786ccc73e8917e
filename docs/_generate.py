"""Make the generated parts of the documentation: the CLI reference, README's table and picture, from measured figures.

Run by ``make docs``; a test fails when what is committed differs from what this makes.
"""

from __future__ import annotations

import json
import math
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
MEASURED = ROOT / "docs" / "_measured" / "engine.json"
SCALE = ROOT / "docs" / "_measured" / "scale.json"
ENVELOPE = ROOT / "docs" / "_measured" / "envelope.json"
BENCHMARKS = ROOT / "docs" / "_measured" / "benchmarks.json"
GATES = ROOT / "benchmarks" / "gates.toml"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"


def cli_reference() -> str:
    """Every command with its help, as it is printed."""
    from fanwise.cli._main import COMMANDS, load

    parts = ["# Command line\n\nMade from the commands themselves.\n"]
    for name in COMMANDS:
        command = load(name)
        with click.Context(
            command, info_name=f"fanwise {name}", max_content_width=100, help_option_names=["-h", "--help"]
        ) as context:
            parts.append(f"\n## fanwise {name}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "".join(parts)


def pages() -> str:
    """The pages of ``fanwise help``, as they are."""
    from fanwise.cli.help import TOPICS, page

    return "# Pages of `fanwise help`\n" + "".join(f"\n## {name}\n\n```text\n{page(name)}```\n" for name in TOPICS)


LOSSES = {
    "start": "starting workers: processes, imports, and the wait until the first is ready",
    "before-fan-out": "places of workers that stood empty while the calling process measured whether they pay",
    "tail": "idle at the end, while the last items ran; the one that was awaited is named",
    "starved": "idle in the middle: items came, or results were taken, too slowly",
    "codec": "pickling in both directions",
    "cache": "looking up and storing results",
    "lost-work": "attempts of workers that died",
    "retries": "attempts that failed and were followed by another",
    "cores-busy": "items that took longer on the clock than on a core: others used the cores (a part of the work)",
    "nested-threads": "items that kept more cores busy than there are: threads below processes (a part of the work)",
    "other": "everything else: drawing items, handing over results, fanwise itself",
}


def report_reference() -> str:
    """Codes of decisions and losses, and every field of the schema."""
    from fanwise.engine._sentences import TEMPLATES

    schema = json.loads((ROOT / "src" / "fanwise" / "report" / "schema-1.json").read_text("utf-8"))
    parts = [
        (
            "# Reports\n\nMade from the schema and the tables of the code. A report is `fanwise.run(…).report`; "
            "`to_json()` writes the schema `fanwise.report/1`, `RunReport.from_json` and `fanwise report` read it. "
            "Fields may be added; a change of meaning would make version 2. Seconds are floats, sizes bytes, instants ISO 8601 "
            "in UTC; NaN and infinity never appear.\n\n"
            "## Decisions\n\n| code | sentence |\n|---|---|\n"
        ),
        *(f"| `{code}` | {text} |\n" for code, text in TEMPLATES.items()),
        (
            "\n## Losses\n\nLane-seconds that were not work, the greatest first; with the work they add up to the lanes.\n\n"
            "| code | what it is |\n|---|---|\n"
        ),
        *(f"| `{code}` | {text} |\n" for code, text in LOSSES.items()),
        "\n## Fields\n\n| field | type |\n|---|---|\n",
        *(f"| `{name}` | {kind} |\n" for name, kind in schema_rows(schema)),
        (
            "\n## Trace\n\n`to_trace()` and `--trace` write the Chrome trace event format: one object with `traceEvents`, "
            "`displayTimeUnit` and `otherData` (`schema` is `fanwise.trace/1`). `pid` is the number of the lane, 0 the calling "
            "process; events are `M` (names), `X` (start, chunk, pickling, cache), `i` (lost, retry, interrupt) and `C` (running "
            "chunks, memory), sorted by `ts` in microseconds. Above 200,000 events `otherData.items_left_out` says how many are "
            "missing. It opens in ui.perfetto.dev and in chrome://tracing.\n"
        ),
    ]
    return "".join(parts)


def schema_rows(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Every field with its path and type."""
    for name, described in schema.get("properties", {}).items():
        inner = described.get("items", {}) if described.get("type") == "array" else described
        here = f"{path}{name}" + ("[]" if described.get("type") == "array" else "")
        yield here, kind_of(described)
        yield from schema_rows(inner, f"{here}.")


def kind_of(described: dict[str, Any]) -> str:
    """The type of a field in a few words."""
    if "const" in described:
        return f"`{described['const']}`"
    if "enum" in described:
        return " or ".join(f"`{value}`" for value in described["enum"])
    kind = described.get("type", "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def seconds(value: float) -> str:
    """A duration as one reads it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e6:.3g} µs"


def rows(measured: dict[str, Any]) -> list[tuple[str, float, float]]:
    """What was run, seconds of the loop, seconds of fanwise."""
    small = {(row["items"], row["item_s"]): row for row in measured["never_slower"]}
    table = []
    for count, cost in ((1000, 1e-6), (100, 1e-5), (10, 1e-4), (3, 1e-3)):
        row = small[count, cost]
        table.append((f"{count:,} items of {seconds(cost)}", row["loop"], row["fanwise"]))
    large = measured["large_work"]
    return [*table, ("200 items of 10 ms", large["loop"], large["fanwise"])]


def readme_table(measured: dict[str, Any]) -> str:
    """The table between the markers of the README."""
    lines = ["| work | loop | `fanwise.map` | |", "|---|---|---|---|"]
    for what, loop, ours in rows(measured):
        gain = loop / ours
        stays = f"stays in one process, + {seconds(max(0.0, ours - loop))}"
        verdict = f"{gain:.2f}× faster" if gain > 1.1 else stays if loop < 0.1 else "no core was free"
        lines.append(f"| {what} | {seconds(loop)} | {seconds(ours)} | {verdict} |")
    return "\n".join(lines) + "\n"


def picture(measured: dict[str, Any]) -> str:
    """Bars of time over the loop's, for small and for large work."""
    table = rows(measured)
    height = 34 * len(table) + 40
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 720 {height}" font-family="sans-serif" font-size="13">'
        "<title>Time of fanwise.map over the time of the loop</title>"
        f'<rect width="720" height="{height}" fill="#ffffff"/>'
        f'<line x1="520" y1="8" x2="520" y2="{height - 28}" stroke="#59636e" stroke-dasharray="3 3"/>'
        f'<text x="520" y="{height - 10}" text-anchor="middle" fill="#59636e">the loop = 1</text>'
    )
    parts = [head]
    for at, (what, loop, ours) in enumerate(table):
        ratio, top = ours / loop, 34 * at + 10
        width = 340 * ratio
        parts.append(
            f'<text x="168" y="{top + 16}" text-anchor="end" fill="#1b1f24">{what}</text>'
            f'<rect x="180" y="{top}" width="{width:.1f}" height="22" rx="3" fill="{"#1f6feb" if ratio < 0.9 else "#9aa5b1"}"/>'
            f'<text x="{max(180 + width, 520) + 8:.1f}" y="{top + 16}" fill="#1b1f24">{ratio:.2f}</text>'
        )
    return "".join(parts) + "</svg>\n"


def scale_table(scale: dict[str, Any]) -> str:
    """Runs with stragglers and deaths, as a table."""
    lines = [
        "| workers | items | each | chunks | efficiency | coordinator busy | items/s, measured |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['workers']:,} | {row['items']:,} | {1000 * row['item_s']:g} ms | {row['chunks']:,} | {row['efficiency']:.2f} "
        f"| {row['coordinator_load']:.0%} | {row['items_per_s']:,} |"
        for row in scale["harsh"]
    ]
    return "\n".join(lines) + "\n"


def scale_picture(scale: dict[str, Any]) -> str:
    """Efficiency over the number of workers, a line for each kind of connection."""
    colours = ("#1f6feb", "#1a7f37", "#9a6700", "#8250df")
    wires = list(dict.fromkeys(row["wire"] for row in scale["curves"]))
    head = (
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 720 320" font-family="sans-serif" font-size="13">'
        "<title>Simulated efficiency over the number of workers</title>"
        '<rect width="720" height="320" fill="#ffffff"/>'
        '<text x="310" y="310" text-anchor="middle" fill="#59636e">workers</text>'
    )
    parts = [
        head,
        *(
            f'<text x="{60 + 122 * power}" y="290" text-anchor="middle" fill="#59636e">{10**power:,}</text>'
            for power in range(5)
        ),
    ]
    for share in (0.0, 0.5, 1.0):
        y = 270 - 240 * share
        parts.append(
            f'<line x1="60" y1="{y}" x2="560" y2="{y}" stroke="#d0d7de"/>'
            f'<text x="52" y="{y + 4}" text-anchor="end" fill="#59636e">{share:.0%}</text>'
        )
    for at, wire in enumerate(wires):
        places = [
            f"{60 + 122 * math.log10(row['workers']):.1f},{270 - 240 * row['efficiency']:.1f}"
            for row in scale["curves"]
            if row["wire"] == wire
        ]
        parts.append(
            f'<polyline points="{" ".join(places)}" fill="none" stroke="{colours[at]}" stroke-width="2"/>'
            f'<text x="576" y="{60 + 24 * at}" fill="{colours[at]}">{wire}</text>'
        )
    return "".join(parts) + "</svg>\n"


def envelope_table(rows: list[dict[str, Any]]) -> str:
    """Seconds of sweeps over sizes: one process with the cache off, cold and warm; two, and as many as pay, without."""
    by = {(row["cells"], row["tiers"], row["workers"], row["cache"]): row for row in rows}
    lines = [
        "| cells | tiers | no cache | cold cache | warm cache | 2 workers | as many as pay | peak memory, one process |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cells, tiers in dict.fromkeys((row["cells"], row["tiers"]) for row in rows):
        columns = ((1, "off"), (1, "cold"), (1, "warm"), (2, "off"), (None, "off"))
        times = " | ".join(seconds(by[cells, tiers, *column]["seconds"]) for column in columns)
        lines.append(f"| {cells:,} | {tiers} | {times} | {by[cells, tiers, 1, 'off']['peak_mb']:,} MB |")
    return "\n".join(lines) + "\n"


def envelope_picture(rows: list[dict[str, Any]]) -> str:
    """Seconds over cells, both logarithmic: two tiers in one process, with the cache off, cold and warm."""
    parts = [
        (
            '<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 720 320" font-family="sans-serif" font-size="13">'
            "<title>Seconds of a sweep over the cells of its grid</title>"
            '<rect width="720" height="320" fill="#ffffff"/>'
            '<text x="310" y="312" text-anchor="middle" fill="#59636e">cells, of 4 crops in 100 countries</text>'
        )
    ]
    for power in range(3, 7):
        x = 60 + 166 * (power - 3)
        parts.append(f'<text x="{x}" y="292" text-anchor="middle" fill="#59636e">{10**power:,}</text>')
    for power in range(-3, 2):
        y = 272 - 62 * (power + 3)
        parts.append(
            f'<line x1="60" y1="{y}" x2="558" y2="{y}" stroke="#d0d7de"/>'
            f'<text x="52" y="{y + 4}" text-anchor="end" fill="#59636e">{seconds(10.0**power)}</text>'
        )
    for state, colour in (("off", "#1f6feb"), ("cold", "#9a6700"), ("warm", "#1a7f37")):
        mine = [row for row in rows if (row["tiers"], row["workers"], row["cache"]) == (2, 1, state)]
        at = [(60 + 166 * (math.log10(r["cells"]) - 3), 272 - 62 * (math.log10(r["seconds"]) + 3)) for r in mine]
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        parts.append(
            f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<text x="572" y="{at[-1][1] + (14 if state == "cold" else 0):.1f}" fill="{colour}">cache {state}</text>'
        )
    return "".join(parts) + "</svg>\n"


SUBJECTS = {
    "engine": "Running a function over items",
    "regret": "Against the best of the loop and every peer",
    "scale": "Many workers, simulated",
    "bundle": "Bundles: one copy of the data",
    "transfer": "Large arguments and results",
    "cache": "Caches",
    "exactci": "`fanwise ci`",
    "modelsearch": "`fanwise search`",
    "auditscan": "`fanwise scan`",
    "envelope": "`fanwise envelope`",
}
BOUNDS = {"min": "at least", "max": "at most"}


def benchmark_tables(told: dict[str, Any], gates: dict[str, Any]) -> str:
    """All figures of the benchmarks beside what they have to keep."""
    where = f"{told['machine']}, {told['date']}"
    how = "Most are ratios of times taken in turn in one run: a slow or shared machine moves both."
    parts = [f"# Measured figures\n\nBy `make bench` on {where}. {how} `a / b` above 1 says that `a` takes longer.\n"]
    for name, title in SUBJECTS.items():
        parts.append(f"\n## {title}\n\n| figure | measured | to be kept |\n|---|---|---|\n")
        for figure in told["figures"][name]:
            bounds = gates.get(name, {}).get(figure["name"], {})
            kept = " and ".join(f"{word} {bounds[key]:,g}" for key, word in BOUNDS.items() if key in bounds)
            missed = not bounds.get("min", -math.inf) <= figure["value"] <= bounds.get("max", math.inf)
            parts.append(f"| {figure['name']} | {shown(figure)} | {kept}{': **missed**' if missed else ''} |\n")
    return "".join(parts)


def shown(figure: dict[str, Any]) -> str:
    """A figure with four digits and its unit."""
    value = figure["value"]
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"
    return f"{digits} {figure['unit']}".strip()


def between(path: Path, text: str) -> str:
    """A page with the part between its markers replaced."""
    head, rest = path.read_text("utf-8").split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}{text}{END}{tail}"


def generated() -> dict[Path, str]:
    """Every generated file and what belongs into it."""
    measured = json.loads(MEASURED.read_text("utf-8"))
    scale = json.loads(SCALE.read_text("utf-8"))
    page = ROOT / "docs" / "explanation" / "scale.md"
    sweeps = json.loads(ENVELOPE.read_text("utf-8"))
    sizes = ROOT / "docs" / "explanation" / "envelopes-by-size.md"
    return {
        ROOT / "docs" / "reference" / "cli.md": cli_reference(),
        ROOT / "docs" / "reference" / "report.md": report_reference(),
        ROOT / "docs" / "reference" / "pages.md": pages(),
        ROOT / "docs" / "reference" / "measured.md": benchmark_tables(
            json.loads(BENCHMARKS.read_text("utf-8")), tomllib.loads(GATES.read_text("utf-8"))
        ),
        ROOT / "docs" / "measured.svg": picture(measured),
        ROOT / "README.md": between(ROOT / "README.md", readme_table(measured)),
        page: between(page, scale_table(scale)),
        ROOT / "docs" / "scale.svg": scale_picture(scale),
        sizes: between(sizes, envelope_table(sweeps)),
        ROOT / "docs" / "envelope.svg": envelope_picture(sweeps),
    }


def main() -> int:
    """Write what differs."""
    for path, text in generated().items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            print(f"made {path.relative_to(ROOT)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
