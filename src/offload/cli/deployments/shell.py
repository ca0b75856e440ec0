"""``offload shell``."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile

import click

from offload.cli.deployments.list import running
from offload.cli.output import say
from offload.errors import NotFoundError, UsageError

EPILOG = """\b
Examples:
    offload shell
    offload shell big --wrap
    SHELL=zsh offload shell
"""

# Which files zsh reads is said by ZDOTDIR, which the user's own .zshenv may set.
_ZSHENV = """\
ZDOTDIR={own}
[ -n "$ZDOTDIR" ] || unset ZDOTDIR
[ -f "${{ZDOTDIR:-$HOME}}/.zshenv" ] && . "${{ZDOTDIR:-$HOME}}/.zshenv"
_offload_zdotdir=$ZDOTDIR
ZDOTDIR={files}
"""

KNOWN = ("bash", "zsh", "fish")


@click.command(epilog=EPILOG)
@click.argument("name", required=False)
@click.option("--wrap", is_flag=True, help="Send every command through `offload run`.")
def shell(name: str | None, wrap: bool) -> int:
    """Open your shell, bound to a deployment: `exit` leaves it.

    In it, offload, plain Dask code and its tools use the deployment, and the prompt shows its name. In bash, zsh and
    fish, Alt-Enter sends the line that you have typed through `offload run` instead of running it as it is: a simple
    command as `offload run -- COMMAND`, one with pipes as `offload run -- bash -c '...'`.

    With --wrap, Enter does so, too, but for what only the shell itself can do (cd, export, exit, its functions, jobs in
    the background), for offload, and for what is about this directory or needs the terminal (ls, rm, git, an editor). A
    space or a backslash before any line lets it run as it is.
    """
    from offload.deploy.variables import variables

    if not sys.stdin.isatty():
        raise UsageError("offload shell needs a terminal", 'in a script: eval "$(offload env)"')
    place, contact = running(name)
    path = _shell()
    kind = os.path.basename(path)
    if kind not in KNOWN and wrap:
        raise UsageError(f"--wrap knows {', '.join(KNOWN)}, and not {kind}", "SHELL=bash offload shell --wrap")
    environment = {**os.environ, **variables(place, contact)}
    words = [path] if kind not in KNOWN else _prepared(kind, path, place.name, wrap, environment)
    keys = "Enter" if wrap else "Alt-Enter"
    say(f"{kind} with {place.name}" + (f"; {keys} sends a line through offload run" if kind in KNOWN else ""))
    sys.stdout.flush()
    os.execve(path, words, environment)


def _shell() -> str:
    wanted = os.environ.get("SHELL") or "/bin/sh"
    path = shutil.which(wanted)
    if path is None:
        raise NotFoundError(f"the shell {wanted} is not there", "SHELL=bash offload shell")
    return path


def _prepared(kind: str, path: str, name: str, wrap: bool, environment: dict[str, str]) -> list[str]:
    """Write the files that the shell is to load, which it then removes; return how it is started."""
    files = tempfile.mkdtemp(prefix="offload-shell-")
    known = {
        "files": files,
        "mark": f"({name}) ",
        "program": _program(),
        "python": sys.executable,
        "wrap": "1" if wrap else "",
    }
    form = "set -g _offload_{} {}\n" if kind == "fish" else "_offload_{}={}\n"
    header = "".join(form.format(key, shlex.quote(value)) for key, value in known.items())
    with open(
        os.path.join(os.path.dirname(os.path.dirname(__file__)), "shells", f"offload.{kind}"), encoding="utf-8"
    ) as file:
        text = header + file.read()
    if kind == "zsh":
        environment["ZDOTDIR"] = files
        own = shlex.quote(os.environ.get("ZDOTDIR", ""))
        _write(files, ".zshenv", _ZSHENV.format(own=own, files=shlex.quote(files)))
        _write(files, ".zshrc", text)
        return [path, "-i"]
    script = _write(files, f"offload.{kind}", text)
    return [path, "--rcfile", script, "-i"] if kind == "bash" else [path, "-i", "-C", f"source {shlex.quote(script)}"]


def _write(directory: str, name: str, text: str) -> str:
    path = os.path.join(directory, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def _program() -> str:
    """Return how this very offload is called in a shell."""
    own = os.path.abspath(sys.argv[0])
    if os.path.basename(own) != "offload":
        return f"{shlex.quote(sys.executable)} -m offload"
    found = shutil.which("offload")
    return "offload" if found is not None and os.path.realpath(found) == os.path.realpath(own) else shlex.quote(own)
