"""``fanwise scan rules``: look at a rule set without scanning."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from fanwise.cli._errors import JSON, Exit, nearest
from fanwise.cli._options import epilog
from fanwise.cli._scan_lists import as_table, print_rules
from fanwise.cli._summary import Summary, print_json
from fanwise.cli.scan import load
from fanwise.errors import UsageError
from fanwise.workloads.auditscan._options import COMPAT

if TYPE_CHECKING:
    from fanwise.workloads.auditscan import Rule

__all__ = ["check", "explain", "list_rules"]

_SETTINGS = {"show_default": True}
_COMPAT = click.option("--compat", type=click.Choice(COMPAT), help="Read the rules as this program does.")
_JSON = click.option("--json", "as_json", is_flag=True, help="An object for machines on stdout.")


@click.command(
    "scan rules check", context_settings=_SETTINGS, epilog=epilog("fanwise scan rules check rules/ --strict")
)
@click.argument("rules")
@click.option("--strict", is_flag=True, help="Warnings are errors.")
@_COMPAT
@_JSON
def check(rules: str, strict: bool, compat: str | None, as_json: bool) -> int:
    """Check the rule file or folder RULES and list its rules."""
    click.get_current_context().meta[JSON] = as_json
    return print_rules(load(rules, compat, strict=strict), as_json, "scan rules check")


@click.command(
    "scan rules list", context_settings=_SETTINGS, epilog=epilog("fanwise scan rules list rules/ --only 'linux_*'")
)
@click.argument("rules")
@click.option("--only", multiple=True, metavar="PATTERN", help="Only rules with such names; may be repeated.")
@_COMPAT
@_JSON
def list_rules(rules: str, only: tuple[str, ...], compat: str | None, as_json: bool) -> int:
    """List the rules in RULES: where each stands, its families, its sheet, and the text that its lines must contain."""
    click.get_current_context().meta[JSON] = as_json
    return print_rules(load(rules, compat, only), as_json, "scan rules list")


@click.command(
    "scan rules explain",
    context_settings=_SETTINGS,
    epilog=epilog("fanwise scan rules explain linux_ssh --rules rules/ --file audit/web1.txt"),
)
@click.argument("name")
@click.option("--rules", required=True, metavar="RULES.yaml|DIR", help="Rule file, or a folder of them.")
@click.option("--file", "audit", metavar="AUDIT.txt", help="Show how the rule fares in this file.")
@click.option("--encoding", metavar="NAME", help="Encoding of the file.  [default: found out]")
@_COMPAT
@_JSON
def explain(name: str, **own: Any) -> int:
    """Show what the rule NAME is made of, which text it needs, and what it finds in a file."""
    click.get_current_context().meta[JSON] = own["as_json"]
    rules = load(own["rules"], own["compat"])
    chosen = [rule for rule in rules.rules if rule.name == name]
    if not chosen:
        raise UsageError(f"no rule is called '{name}'.{nearest(name, [rule.name for rule in rules.rules])}")
    told = [_told(rule, own) for rule in chosen]
    if own["as_json"]:
        print_json(Summary("scan rules explain", Exit.DONE, own={"rules": told}))
    else:
        click.echo("\n\n".join(_as_text(one) for one in told))
    return Exit.DONE


def _told(rule: Rule, own: dict[str, Any]) -> dict[str, Any]:
    from fanwise.workloads.auditscan._explain import describe, explain_in

    if own["audit"] is None:
        return describe(rule)
    from fanwise.workloads.auditscan.io import read_audit

    decoded = read_audit(own["audit"], own["encoding"], own["compat"])
    return {**describe(rule), "file": {"path": own["audit"], **explain_in(rule, decoded, compat=own["compat"])}}


def _as_text(told: dict[str, Any]) -> str:
    head = f"{told['name']}  ({told['source']}, line {told['line']})"
    values = as_table(
        [{**value, "value": _short(value["value"])} for value in told["values"]], ("key", "value", "origin")
    )
    texts = "".join(f"\n  {json.dumps(text, ensure_ascii=False)}" for text in told["literals"] or ())
    parts = [head, values, f"{told['why']}{texts}"]
    if "file" in told:
        parts.append(_file_text(told["file"]))
    return "\n\n".join(parts)


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _file_text(told: dict[str, Any]) -> str:
    filters = [f"  {_filter_text(one)}" for one in told["filters"]]
    counts = f"{told['candidates']:,} candidate lines, {told['matching_lines']:,} matching, {told['seconds']:.3f} s"
    results = [f"  {row['line']}: {_short(row['text'])}  {_short(row['fields'])}" for row in told["results"]]
    return "\n".join([f"{told['path']}: {told['verdict']}", *filters, counts, *results])


def _filter_text(told: dict[str, Any]) -> str:
    passed = "pass" if told["holds"] else "FAIL"
    return f"{passed}  {told['attr']} {told['comp']} {_short(told['value'])}; the system has {_short(told['system'])}"
