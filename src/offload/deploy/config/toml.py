"""Deployments described in files: ``[deployment.NAME]`` in ``offload.toml`` and in the user's configuration."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator
from typing import Any

from offload.batch import system_names
from offload.batch.options import HEAD, OF_JOB
from offload.errors import NotFoundError, NotTrustedError, UsageError
from offload.hosts.address import SCHEME
from offload.registry.deployments import check_name
from offload.storage.home import DEPLOYMENT
from offload.util import trust

PROJECT = "offload.toml"

# Key of a table: the type of its value, and the attribute of a spec that it stands for ("" for none).
TOP: dict[str, tuple[type, str]] = {
    "site": (str, "site"),
    "route": (str, "route"),
    "environment": (str, "environment"),
    "mounts": (list, "mounts"),
    "local_ports": (str, "local_ports"),
    "host": (str, "host"),
    "advertise": (str, "advertise"),
    "workers_host": (str, "workers_host"),
    "interface": (str, "interface"),
    "port": (int, "port"),
    "ports": (str, "ports"),
    "idle": (str, "idle"),
    "storage_only": (bool, "storage_only"),
    "also": (list, "also"),
    "scheduler": (str, "scheduler"),
    "storage": (dict, ""),
    "tls": (dict, ""),
    "keep": (str, "keep"),
    "workers": (dict, ""),
    "head": (dict, ""),
    "groups": (dict, ""),
}
WITHIN: dict[str, dict[str, tuple[type, str]]] = {
    "storage": {"buffers": (str, "buffers"), "database": (str, "database")},
    "tls": {"ca": (str, "tls_ca"), "cert": (str, "tls_cert"), "key": (str, "tls_key")},
    "workers": {
        "provider": (str, "provider"),
        "count": (int, "workers"),
        "minimum": (int, "minimum"),
        "maximum": (int, "maximum"),
        "threads": (int, "threads"),
        "memory_limit": (str, "memory_limit"),
        "nanny": (bool, "nanny"),
        "scratch": (str, "scratch"),
        "resources": (dict, "resources"),
        **{key: (kind, key) for key, kind in OF_JOB.items()},
    },
    "head": {key: (kind, HEAD + key) for key, kind in OF_JOB.items()},
}
PATHS = {"buffers", "database", "scratch", "tls_ca", "tls_cert", "tls_key"}
_KINDS = {str: "a text, in quotes", int: "a whole number", bool: "true or false", dict: "a table", list: "a list"}


def files(refused: list[NotTrustedError] | None = None) -> Iterator[str]:
    """Give the configuration files that are obeyed: the project's, found upwards from here, before the user's.

    The search goes up to the user's home directory or to the border of a file system. What other users can write is
    passed over: they would decide where data lie and what runs, and one in ``/tmp`` would stop everybody.

    Parameters
    ----------
    refused : list, optional
        Gets why a file is passed over.
    """
    for path in _nearest_first():
        if os.path.exists(path):
            try:
                trust.check(path)
            except NotTrustedError as exc:
                if refused is not None:
                    refused.append(exc)
                continue
            yield path
            break
    path = trust.config_file()
    if os.path.exists(path):
        try:
            trust.check(path)
        except NotTrustedError as exc:
            if refused is not None:
                refused.append(exc)
            return
        yield path


def _nearest_first() -> Iterator[str]:
    """Give the paths that a project's file may have."""
    try:
        directory = os.getcwd()
        device = os.stat(directory).st_dev
    except FileNotFoundError:  # it was removed, and holds no project
        return
    home = os.path.realpath(os.path.expanduser("~"))
    while True:
        yield os.path.join(directory, PROJECT)
        if directory in (home, "/"):
            return
        directory = os.path.dirname(directory)
        if os.stat(directory).st_dev != device:
            return


def find(name: str, refused: list[NotTrustedError] | None = None) -> tuple[dict[str, Any], str] | None:
    """Return what a table says, as attributes of a spec, and the file that it stands in; None when there is none.

    `refused` gets why a file is passed over.

    Raises
    ------
    UsageError
        If the file cannot be understood, or holds a key or a value that does not belong there.
    """
    for path in files(refused):
        table = _tables(path).get(name)
        if table is not None:
            return dict(_values(table, path, name)), path
    return None


def get(name: str, refused: list[NotTrustedError] | None = None) -> tuple[dict[str, Any], str]:
    """Return what `find` does.

    Raises
    ------
    NotFoundError
        If there is no such table; the hint names the nearest one.
    """
    refused = [] if refused is None else refused
    found = find(name, refused)
    if found is not None:
        return found
    scheme, separator, _ = name.partition("://")
    if separator:
        sites = ", ".join(["local", SCHEME, *(f"{system}://" for system in system_names()), "tls://", "tcp://"])
        raise NotFoundError(f"offload does not know how to deploy to {scheme}://", f"it knows: {sites}")
    known = list(dict.fromkeys(["local", *sorted({known for path in files() for known in _tables(path)})]))
    near = difflib.get_close_matches(name, known, 1)
    if refused:
        reasons = "; ".join(refusal.message for refusal in refused)
        raise NotFoundError(f"{name} is not a deployment in a file that is obeyed; {reasons}", refused[0].hint)
    raise NotFoundError(
        f"{name} is neither a place that this version can deploy to, nor a deployment in {PROJECT}",
        f"did you mean: offload up {near[0]}" if near else f"there are: {', '.join(known)}",
    )


def _tables(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            tables = tomllib.load(file).get("deployment", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise UsageError(f"{path} cannot be understood: {exc}", "it is to be TOML") from exc
    except OSError as exc:
        raise UsageError(f"{path} cannot be read: {exc.strerror}") from exc
    if not isinstance(tables, dict):
        raise UsageError(f"{path}: deployment is no table", "write [deployment.NAME]")
    return tables


def _values(table: Any, path: str, name: str) -> Iterator[tuple[str, Any]]:
    where = f"deployment.{name}"
    for key, value, attribute in _checked(table, TOP, path, where):
        if key == "site":
            if value != "here" and not value.startswith(SCHEME):
                raise UsageError(
                    f"{path}: {where}.site is {value!r}", 'write site = "here" or site = "ssh://user@host"'
                )
            if value == "here":
                continue
        if key == "also" and not all(type(name) is str for name in value):
            raise UsageError(f"{path}: {where}.also is {value!r}", "it is to be a list of names of deployments")
        if key == "mounts" and not all(type(name) is str for name in value):
            raise UsageError(f"{path}: {where}.mounts is {value!r}", "it is to be a list of directories")
        if key == "storage" and type(value) is str:
            yield "buffers", DEPLOYMENT + check_name(value)
            yield "database", DEPLOYMENT + check_name(value)
            continue
        if key == "groups":
            yield key, {name: dict(_group(group, path, f"{where}.groups.{name}")) for name, group in value.items()}
        elif key in WITHIN:
            for inner, inside, meant in _checked(value, WITHIN[key], path, f"{where}.{key}"):
                if inner == "provider":
                    _check_provider(inside, "scheduler" in table, path, f"{where}.{key}")
                if meant and inside != "existing":
                    there = table.get("site", "here") != "here"  # paths are the other machine's
                    yield meant, _absolute(inside, path) if meant in PATHS and not there else inside
        elif attribute:
            yield attribute, value


def _group(table: Any, path: str, where: str) -> Iterator[tuple[str, Any]]:
    for key, value, attribute in _checked(table, WITHIN["workers"], path, where):
        if key == "provider":
            _check_provider(value, False, path, where)
        yield attribute, value


def _checked(table: Any, known: dict[str, tuple[type, str]], path: str, where: str) -> Iterator[tuple[str, Any, str]]:
    if not isinstance(table, dict):
        raise UsageError(f"{path}: {where} is no table", f"write [{where}]")
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(dict.fromkeys(known))}"
            raise UsageError(f"{path}: {where} has no key {key}", hint)
        kind, attribute = known[key]
        if type(value) is not kind and not (key == "storage" and type(value) is str):
            raise UsageError(f"{path}: {where}.{key} is {value!r}", f"it is to be {_KINDS[kind]}")
        yield key, value, attribute


def _check_provider(provider: str, existing: bool, path: str, where: str) -> None:
    known = ["existing"] if existing else ["local", *system_names()]
    if provider not in known:
        because = "with a scheduler" if existing else "without a scheduler"
        raise UsageError(f"{path}: {where}.provider is {provider!r}", f"{because} there are: {', '.join(known)}")


def _absolute(text: str, path: str) -> str:
    return os.path.normpath(os.path.join(os.path.dirname(path), os.path.expanduser(text)))
