"""``fanwise completion SHELL``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]


@click.command(epilog='Example: eval "$(fanwise completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), metavar="bash|zsh|fish")
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print the script that teaches a shell to complete fanwise's commands and options."""
    script = get_completion_class(shell)
    if script is None:  # pragma: no cover
        raise click.UsageError(f"click has no completion for {shell}.")
    click.echo(script(context.find_root().command, {}, "fanwise", "_FANWISE_COMPLETE").source())
    return 0
