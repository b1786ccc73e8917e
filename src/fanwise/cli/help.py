"""``fanwise help TOPIC``: pages that the documentation includes as they are."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["TOPICS", "page", "topic"]

TOPICS = ("environment", "exit-codes", "files", "backends")


def page(name: str) -> str:
    """Text of a page."""
    return (Path(__file__).parent / "pages" / f"{name}.md").read_text("utf-8")


@click.command(name="help", epilog="Example: fanwise help exit-codes")
@click.argument("name", type=click.Choice(TOPICS), metavar="|".join(TOPICS))
def topic(name: str) -> int:
    """Print a page about something that all commands share."""
    click.echo(page(name), nl=False)
    return 0
