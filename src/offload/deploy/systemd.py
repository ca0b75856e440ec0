"""A systemd user unit that keeps a deployment up: after a crash, a log-out, a restart of the machine."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence

from offload.deploy.config.spec import Spec
from offload.errors import NotFoundError, OffloadError
from offload.registry.deployments import check_name
from offload.util.files import write_whole
from offload.util.filesystems import translated

MARK = "# Written by offload install-service; taken away by offload install-service --remove."

_UNIT = """\
{mark}
[Unit]
Description=offload deployment {name}

[Service]
Type=exec
{environment}ExecStart={command}
Restart=on-failure
RestartSec=5
# Only the first process is told to end; it tells the others, workers first.
KillMode=mixed
TimeoutStopSec=60

[Install]
WantedBy=default.target
"""


_WORDS = {
    "workers": "--workers", "minimum": "--minimum", "maximum": "--maximum", "threads": "--threads",
    "memory_limit": "--memory-limit", "port": "--port", "host": "--host", "interface": "--interface",
    "advertise": "--contact", "workers_host": "--workers-host", "environment": "--environment", "scratch": "--scratch",
    "buffers": "--buffers", "database": "--database", "idle": "--idle",
}  # fmt: skip
"""The options of ``offload up`` for attributes of a spec whose values are written as they are."""


def options_of(spec: Spec) -> list[str] | None:
    """Return the options of ``offload up`` by which a deployment becomes what it is; None where that takes more.

    Examples
    --------
    >>> options_of(Spec(name="big", workers=3, ports=(9000, 9020), nanny=False, mounts=("/data", "/ref")))
    ['--workers', '3', '--no-nanny', '--ports', '9000-9020', '--mount', '/data', '--mount', '/ref']
    """
    usual, words = Spec(name=spec.name), []
    for field in dataclasses.fields(Spec):
        name, value = field.name, getattr(spec, field.name)
        if value == getattr(usual, name) or (name == "workers" and spec.maximum is not None):
            continue
        if name in _WORDS:
            words += [_WORDS[name], f"{value:g}" if isinstance(value, float) else str(value)]
        elif name == "ports":
            words += ["--ports", f"{value[0]}-{value[1]}"]
        elif name == "resources":
            words += ["--resources", ",".join(f"{kind}={count:g}" for kind, count in value.items())]
        elif name == "mounts":
            words += [word for directory in value for word in ("--mount", directory)]
        elif name == "also":
            words += ["--also", ",".join(value)]
        elif name == "nanny":
            words.append("--no-nanny")
        elif name == "storage_only":
            words.append("--storage-only")
        else:
            return None
    return words


def unit_name(name: str) -> str:
    """Return what the unit of a deployment is called."""
    return f"offload-{check_name(name)}.service"


def unit_path(name: str) -> str:
    """Return where the user's systemd looks for it."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.config")
    return os.path.join(base, "systemd", "user", unit_name(name))


def unit(name: str, program: Sequence[str], options: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the text of a unit.

    Parameters
    ----------
    name : str
        The deployment.
    program : sequence of str
        How this very offload is started.
    options : sequence of str
        More words for ``offload up``.
    environment : mapping
        Variables that it needs.

    Examples
    --------
    >>> text = unit("big", ["/opt/my tools/offload"], ["--workers", "4"], {"OFFLOAD_HOME": "/data/100%"})
    >>> [line for line in text.splitlines() if line.startswith(("Exec", "Env"))]  # doctest: +NORMALIZE_WHITESPACE
    ['Environment="OFFLOAD_HOME=/data/100%%"',
     'ExecStart="/opt/my tools/offload" "up" "--foreground" "--name" "big" "--workers" "4"']
    """
    words = [*program, "up", "--foreground", "--name", check_name(name), *options]
    lines = "".join(f"Environment={_quoted(f'{key}={value}')}\n" for key, value in environment.items())
    # In a command, a dollar sign is a variable's unless it is doubled.
    command = " ".join(_quoted(word).replace("$", "$$") for word in words)
    if options:  # paths among them are relative to where they are given
        lines += f"WorkingDirectory={os.getcwd().replace('%', '%%')}\n"
    return _UNIT.format(mark=MARK, name=name, environment=lines, command=command)


def install(name: str, text: str) -> str:
    """Write the unit of a deployment, over an earlier one of ours; return its path.

    Raises
    ------
    OffloadError
        If somebody else has written a unit of this name.
    """
    path = unit_path(name)
    if os.path.lexists(path):
        _check_ours(path)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    except OSError as error:
        raise translated(error, path) from error
    write_whole(path, text)
    return path


def remove(name: str) -> str:
    """Remove the unit of a deployment; return its path.

    Raises
    ------
    NotFoundError
        If there is none.
    OffloadError
        If somebody else has written it.
    """
    path = unit_path(name)
    if not os.path.lexists(path):
        raise NotFoundError(f"there is no {path}", f"offload install-service {name}")
    _check_ours(path)
    os.unlink(path)
    return path


def _check_ours(path: str) -> None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            ours = file.readline().rstrip("\n") == MARK
    except OSError:
        ours = False
    if not ours:
        raise OffloadError(f"{path} was not written by offload", "move it away, or give the deployment another name")


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("%", "%%")
    return f'"{escaped}"'
