"""``offload completion``."""

from __future__ import annotations

import click

EPILOG = """\b
Install it for good (and start a new shell):
    offload completion bash > ~/.local/share/bash-completion/completions/offload
    offload completion zsh  > "${fpath[1]}/_offload"
    offload completion fish > ~/.config/fish/completions/offload.fish

\b
Or for the shell you are in (bash, zsh):
    eval "$(offload completion bash)"
"""


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that lets a shell complete offload's commands, options and checksums."""
    from click.shell_completion import get_completion_class

    from offload.cli.app import app

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(app, {}, "offload", "_OFFLOAD_COMPLETE").source())
