"""Which deployments there are, where each keeps its files, and which one is in use."""

from __future__ import annotations

import os

from offload.errors import NotFoundError, UsageError
from offload.registry.active import EMBEDDED, innermost
from offload.storage.home import unreachable
from offload.util.files import write_whole
from offload.util.filesystems import translated
from offload.util.trust import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VARIABLE = "OFFLOAD_DEPLOYMENT"
_LONGEST = 63
_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


def check_name(name: str) -> str:
    """Return the name of a deployment, if it can be one.

    Raises
    ------
    UsageError
        If it holds anything but lower-case letters, digits, ``-`` and ``_``, or is ``none``.
    """
    if name == EMBEDDED:
        raise UsageError(f"{name!r} cannot be the name of a deployment", "it stands for using none")
    if not 0 < len(name) <= _LONGEST or not _CHARACTERS.issuperset(name) or name[0] in "-_":
        raise UsageError(
            f"{name!r} cannot be the name of a deployment",
            "use up to 63 lower-case letters, digits, - and _, beginning with a letter or digit",
        )
    return name


class Place:
    """The directory of one deployment, readable by its owner alone.

    Attributes
    ----------
    path : str
        The directory.
    name : str
        The deployment's name.
    home : str
        The home that it belongs to.
    spec, contact, logs, keys : str
        Paths of the spec, of the contact file, of the directory of logs, and of that of certificates and token.
    changing : str
        Path of the file that whoever brings it up or down holds.
    authority, token : str
        Paths of the certificate that a client trusts, and of the token that it shows.
    grants : str
        Path of the file of those who were invited.
    storage, ended : str
        Path of the file that names its store, its database and the deployments whose storage is read through, a line
        each, where this is not just the home's; and of the one that tells why it has ended by itself, where it has.
    lock, end : str
        Path of the file that is locked by whoever serves it, its head or the process that keeps the connection; and of
        the one that tells them to end, wherever they run.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = os.path.basename(path)
        self.home = os.path.dirname(os.path.dirname(path))
        self.spec = os.path.join(path, "spec.json")
        self.contact = os.path.join(path, "contact.json")
        self.logs = os.path.join(path, "logs")
        self.changing = f"{path}.lock"
        self.keys = os.path.join(path, "keys")
        self.authority = os.path.join(self.keys, "ca.pem")
        self.token = os.path.join(self.keys, "token")
        self.grants = os.path.join(path, "grants.json")
        self.storage = os.path.join(path, "storage")
        self.ended = os.path.join(path, "ended")
        self.lock = os.path.join(path, "lock")
        self.end = os.path.join(path, "end")

    def end_reason(self) -> str | None:
        """Return why the deployment has ended by itself, or None where it has not."""
        try:
            with open(self.ended, encoding="utf-8") as file:
                return file.read().strip()
        except FileNotFoundError:
            return None

    def log(self, who: str) -> str:
        """Return the path of a process's log."""
        return os.path.join(self.logs, f"{who}.log")


def is_unwanted(place: Place) -> bool:
    """Tell whether whoever serves a deployment is to end: they are told so, or its directory has been removed."""
    return os.path.exists(place.end) or not os.path.isdir(place.path)


believed: dict[tuple[str, str], Any] = {}
"""What :mod:`offload.registry.location` believes for a moment, by home and deployment; nothing after a change here."""


class Registry:
    """The deployments of one home.

    Parameters
    ----------
    home : str
        The home directory.

    Attributes
    ----------
    root : str
        The directory that holds their places.
    in_use_file : str
        The file that holds the name that `use` has set.
    """

    def __init__(self, home: str) -> None:
        self.home = home
        self.root = os.path.join(home, "deployments")
        self.in_use_file = os.path.join(home, "deployment")

    def place(self, name: str) -> Place:
        """Return the place of a deployment, whether it exists or not."""
        return Place(os.path.join(self.root, check_name(name)))

    def names(self) -> list[str]:
        """Return the names of all deployments, sorted."""
        try:
            found = os.listdir(self.root)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise unreachable(self.root, error) from error
        return sorted(name for name in found if os.path.exists(os.path.join(self.root, name, "spec.json")))

    def get(self, name: str) -> Place:
        """Return the place of a deployment that exists.

        Raises
        ------
        NotFoundError
            If there is none of this name; the hint names those that there are.
        NotTrustedError
            If another user can change what it is.
        """
        place = self.place(name)
        check(place.spec)
        if not os.path.exists(place.spec):
            others = ", ".join(self.names())
            raise NotFoundError(
                f"there is no deployment {name}",
                f"there are: {others}"
                if others
                else f"start it: offload up --name {name}; on another machine: offload up ssh://HOST --name {name}",
            )
        return place

    def create(
        self, name: str, spec: str, buffers: str | None = None, database: str | None = None, also: str = ""
    ) -> Place:
        """Make the place of a deployment and keep the text of its spec there, over an earlier one of the same name.

        Where its store or its database is not the home's alone, this is kept, too, in a form that is read in no time.
        """
        place = self.place(name)
        try:
            os.makedirs(place.logs, 0o700, exist_ok=True)
            os.chmod(place.path, 0o700)
            if os.path.exists(place.ended):
                os.unlink(place.ended)
            write_whole(place.spec, spec)
            if buffers or database or also:
                write_whole(place.storage, f"{buffers or ''}\n{database or ''}\n{also}\n")
            elif os.path.exists(place.storage):
                os.unlink(place.storage)
            believed.clear()
        except OSError as exc:
            raise translated(exc, place.path) from exc
        return place

    def remove(self, name: str) -> None:
        """Remove a deployment's files."""
        import shutil

        shutil.rmtree(self.place(name).path)
        if self.in_use() == name:
            os.unlink(self.in_use_file)
        believed.clear()

    def withdraw(self, name: str) -> None:
        """Remove what makes a deployment one, and leave its logs, which say why it did not come up."""
        import shutil

        place = self.place(name)
        for entry in os.scandir(place.path):
            if entry.path != place.logs:
                shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)
        believed.clear()

    def use(self, name: str | None) -> None:
        """Make a deployment the one that is used by default; None for none."""
        if name is None:
            if os.path.exists(self.in_use_file):
                os.unlink(self.in_use_file)
        else:
            write_whole(self.in_use_file, self.get(name).name + "\n")
        believed.clear()

    def in_use(self) -> str | None:
        """Return the name that `use` has set, or None."""
        try:
            with open(self.in_use_file, encoding="utf-8") as file:
                return file.read().strip() or None
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise unreachable(self.home, error) from error

    def active(self, chosen: str | None = None) -> Place | None:
        """Return the deployment that work goes to, or None for embedded.

        Parameters
        ----------
        chosen : str, optional
            A name that was given for just this, or ``"none"``; else :func:`offload.connect` counts, then
            ``$OFFLOAD_DEPLOYMENT``, and then `use`.

        Raises
        ------
        NotFoundError
            If the one that is asked for does not exist.
        """
        choice = innermost()
        connected = choice.deployment if choice is not None else None
        name = chosen or connected or os.environ.get(VARIABLE) or self.in_use()
        return self.get(name) if name and name != EMBEDDED else None

    def only(self, chosen: str | None) -> Place:
        """Return the deployment that a command is about: the chosen one, else the active one, else the only one."""
        place = self.active(chosen)
        if place is not None:
            return place
        names = self.names()
        # Those that have ended by themselves stand in nobody's way.
        here = [name for name in names if self.place(name).end_reason() is None]
        if len(here or names) == 1:
            return self.place((here or names)[0])
        raise NotFoundError(
            "no deployment is active" if names else "there is no deployment",
            f"name one of: {', '.join(names)}" if names else "start one: offload up",
        )
