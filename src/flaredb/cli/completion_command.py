"""``flaredb completion``: what makes a shell complete commands and options."""

from __future__ import annotations

import click

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script by which a shell completes flaredb's commands and options.

    \b
    bash: eval "$(flaredb completion bash)"     in ~/.bashrc
    zsh:  eval "$(flaredb completion zsh)"      in ~/.zshrc
    fish: flaredb completion fish > ~/.config/fish/completions/flaredb.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    root = context.find_root().command
    click.echo(kind(root, {}, "flaredb", "_FLAREDB_COMPLETE").source())
