"""``fanwise help TOPIC``: pages that the documentation includes as they are."""

from __future__ import annotations

from pathlib import Path

import click

from fanwise.cli._errors import Exit, nearest
from fanwise.cli._options import epilog

__all__ = ["TOPICS", "page", "topic"]

TOPICS = ("environment", "exit-codes", "files", "backends")


def page(name: str) -> str:
    """Text of a page."""
    return (Path(__file__).parent / "pages" / f"{name}.md").read_text("utf-8")


def _completed(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    root = context.find_root()
    assert isinstance(root.command, click.Group)
    return [name for name in (*TOPICS, *root.command.list_commands(root)) if name.startswith(begun)]


@click.command(name="help", epilog=epilog("fanwise help exit-codes", "fanwise help ci"))
@click.argument("name", nargs=-1, metavar=f"[{'|'.join(TOPICS)}|COMMAND]", shell_complete=_completed)
@click.pass_context
def topic(context: click.Context, name: tuple[str, ...]) -> int:
    """Print a page about something that all commands share, or the help of a command."""
    if len(name) == 1 and name[0] in TOPICS:
        click.echo(page(name[0]), nl=False)
        return Exit.DONE
    root = context.find_root().command
    known = _completed(context, context.command.params[0], "")
    if name and name[0] not in known:
        raise click.UsageError(f"no page {name[0]}.{nearest(name[0], known)}", context)
    return int(root.main([*name, "--help"], "fanwise", standalone_mode=False) or Exit.DONE)
