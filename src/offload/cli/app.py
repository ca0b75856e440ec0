"""The command line as a whole: names, help, completion. Commands are imported when they are used."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from offload._version import __version__

# Name -> module and attribute of the click command, and what ``offload --help`` says of it.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "run": ("offload.cli.run.command", "command", "Run a command, or recall what it gave before."),
    "jobs": ("offload.cli.deployments.jobs", "jobs", "List the commands that a deployment runs."),
    "wait": ("offload.cli.deployments.wait", "wait", "Wait for commands on a deployment, and give what they give."),
    "cancel": ("offload.cli.deployments.jobs", "cancel", "Cancel commands on a deployment."),
    "why": ("offload.cli.data.why", "command", "Explain why a command is recalled or computed."),
    "history": ("offload.cli.data.history", "history", "Show what was computed, and when."),
    "lineage": ("offload.cli.data.lineage", "lineage", "Show what a result was made from, or what was made from it."),
    "verify": ("offload.cli.data.verify", "verify", "Run recorded work again, and list what differs."),
    "forget": ("offload.cli.data.forget", "forget", "Drop recorded results, so that they are computed again."),
    "put": ("offload.cli.data.put", "put", "Keep files in the store, and print their checksums."),
    "get": ("offload.cli.data.get", "get", "Print buffers of the store, or write them to files."),
    "gc": ("offload.cli.data.gc", "collect", "Keep the store under a size."),
    "up": ("offload.cli.deployments.up", "up", "Bring up a Dask deployment on this machine."),
    "down": ("offload.cli.deployments.up", "down", "Bring a deployment down."),
    "list": ("offload.cli.deployments.list", "listing", "List the deployments."),
    "use": ("offload.cli.deployments.list", "use", "Choose the deployment that commands are about."),
    "join": ("offload.cli.deployments.join", "join", "Use a deployment that somebody has invited you to."),
    "leave": ("offload.cli.deployments.join", "leave", "Forget a deployment elsewhere, which goes on."),
    "invite": ("offload.cli.deployments.join", "invite", "Print a join string, by which others use a deployment."),
    "revoke": ("offload.cli.deployments.join", "revoke", "Take an invitation back."),
    "scale": ("offload.cli.deployments.list", "scale", "Change the number of workers."),
    "env": ("offload.cli.deployments.list", "env", "Print what another terminal needs to use a deployment."),
    "shell": ("offload.cli.deployments.shell", "shell", "Open your shell, bound to a deployment."),
    "dashboard": ("offload.cli.deployments.list", "dashboard", "Open Dask's dashboard."),
    "logs": ("offload.cli.deployments.logs", "logs", "Show the logs of a deployment."),
    "doctor": ("offload.cli.deployments.doctor", "doctor", "Check this machine, another one, or a deployment."),
    "install-service": ("offload.cli.deployments.service", "install_service", "Let systemd keep a deployment up."),
    "environment": ("offload.cli.deployments.environment", "environment", "Bring the software here to other machines."),
    "status": ("offload.cli.deployments.status", "status", "Show what is kept, where, and whether all is well."),
    "serve": ("offload.cli.serve", "command", "Serve store and database, or run parts of a deployment."),
    "worker": ("offload.cli.worker", "worker", "Run a worker that joins a deployment."),
    "scheduler": ("offload.cli.worker", "scheduler", "Run only the scheduler of a deployment."),
    "completion": ("offload.cli.completion", "completion", "Print the script that completes commands in a shell."),
}


class _PipeClosedError(Exception):
    """Stands for BrokenPipeError, which click would make an exit code of its own of; ours is 141, in `main`."""


class LazyGroup(click.Group):
    """A group that imports a command's module only when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of ``--help``."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, importing its module."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        found = getattr(import_module(place[0]), place[1])
        command = found if isinstance(found, click.Command) else found()
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise _PipeClosedError from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="offload", message="%(prog)s %(version)s")
@click.pass_context
def app(ctx: click.Context) -> None:
    """Dask anywhere in one command; nothing computed twice."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run_app(words: list[str]) -> int:
    """Run the command line through click and return the exit code."""
    if sys.stdout is None:
        # The caller has closed it.
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    try:
        code = app.main(words, prog_name="offload", standalone_mode=False)
    except _PipeClosedError:
        raise BrokenPipeError from None
    except click.Abort:
        return 130
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        from offload.errors import UsageError

        context = error.ctx if isinstance(error, click.UsageError) else None
        hint = f"{context.command_path} --help" if context is not None else None
        raise UsageError(error.format_message(), hint) from error
    return code if isinstance(code, int) else 0
