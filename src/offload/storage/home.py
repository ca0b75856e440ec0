"""The home: the directory that holds a user's store, database and file-checksum cache.

``OFFLOAD_HOME`` names it; else it is ``offload`` in the user's data directory. ``OFFLOAD_BUFFERS`` and
``OFFLOAD_DATABASE`` name another store's directory and another database; either may be ``offload://NAME``, which is the
storage of a deployment. ``OFFLOAD_ALSO`` names deployments, with commas between them, whose storage is read through.
"""

from __future__ import annotations

import os
import sys

from offload.errors import DamagedError, StorageError
from offload.util.filesystems import sync_names, translated
from offload.util.trust import check

FORMAT = 1
"""The version of the layout that this program reads and writes."""

BUFFERS, DATABASE, ALSO = "OFFLOAD_BUFFERS", "OFFLOAD_DATABASE", "OFFLOAD_ALSO"
"""The variables that name another store and another database than the home's, and what is read through."""

VARIABLES = ("OFFLOAD_HOME", BUFFERS, DATABASE, ALSO)
"""Those that say where results are kept, in the order of `Home.key`."""

Key = tuple[str, str, str, str]
"""What tells a home from others; see `Home.key`."""

DEPLOYMENT = "offload://"
"""Begins the address of a deployment's storage, before its name."""

BESIDE = frozenset(("deployments", "environments", "returned"))
"""What may be in its directory before the home is: software that was brought from another machine, or runs there."""

_PREFIX = "offload home "


def home_path() -> str:
    """Give the absolute path of the user's home, whether it exists or not."""
    chosen = os.environ.get("OFFLOAD_HOME")
    if chosen:
        return os.path.abspath(os.path.expanduser(chosen))
    if sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Application Support")
    else:
        base = os.environ.get("XDG_DATA_HOME", "")
        # The specification says that relative paths are to be ignored.
        if not os.path.isabs(base):
            base = os.path.expanduser("~/.local/share")
    return os.path.join(base, "offload")


def checked_home() -> str:
    """Give the path of the user's home for looking only: it is not made, but if it is there, it can be used.

    Raises
    ------
    DamagedError, StorageError
        As for `Home`.
    """
    path = home_path()
    check(path)
    _is_home(path)
    return path


class Home:
    """A home that exists and has a format this program knows.

    Parameters
    ----------
    path : str, optional
        Its directory; by default the user's. Made when it does not exist, with mode 0700.
    buffers, database : str, optional
        A store's directory and a database to use instead of its own, and instead of what the environment names.
    also : str, optional
        Deployments whose storage is read through, with commas between them; by default what the environment names.

    Attributes
    ----------
    path : str
        Its absolute path.
    store, database, files : str
        Paths of the store's directory, the database and the file-checksum cache; or the addresses of a deployment's.
    also : str
        Names of deployments whose storage is read through, with commas between them.
    key : (str, str, str, str)
        Its path, those of store and database, and `also`: what tells it from others.

    Raises
    ------
    DamagedError
        The directory holds something else.
    StorageError
        It was written by a newer offload, or its path is no directory.
    NotWritableError, DiskFullError
        It does not exist and cannot be made.
    NotTrustedError
        Another user can change what lies in it.
    """

    __slots__ = ("also", "database", "files", "key", "path", "store")

    def __init__(
        self,
        path: str | None = None,
        buffers: str | None = None,
        database: str | None = None,
        also: str | None = None,
    ) -> None:
        self.path = os.path.abspath(path) if path else home_path()
        self.store = _chosen(buffers, BUFFERS) or os.path.join(self.path, "store")
        self.database = _chosen(database, DATABASE) or os.path.join(self.path, "database.sqlite")
        self.also = os.environ.get(ALSO, "") if also is None else also
        self.key: Key = (self.path, self.store, self.database, self.also)
        self.files = os.path.join(self.path, "files.sqlite")
        check(self.path)
        for place in (self.store, self.database):
            if not place.startswith(DEPLOYMENT):
                check(place, self.path)
        if not _is_home(self.path):
            self._create()

    def _create(self) -> None:
        """Make the home. Any number of processes may do so at once: each writes the same FORMAT."""
        marker = os.path.join(self.path, f".FORMAT-{os.getpid()}-{os.urandom(4).hex()}")
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            try:
                os.mkdir(self.path, 0o700)
            except FileExistsError:
                if not os.path.isdir(self.path):
                    raise StorageError(f"{self.path} is not a directory", "set OFFLOAD_HOME to a directory") from None
                names = os.listdir(self.path)
                others = [name for name in names if name not in BESIDE and not name.startswith(".FORMAT-")]
                if _is_home(self.path):
                    return
                if others:
                    raise DamagedError(
                        f"{self.path} is not an offload home: it has no FORMAT file, but holds {sorted(others)[0]!r}",
                        "set OFFLOAD_HOME to an empty or new directory",
                    ) from None
            try:
                with open(marker, "x", encoding="ascii") as file:
                    file.write(f"{_PREFIX}{FORMAT}\n")
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(marker, os.path.join(self.path, "FORMAT"))
                sync_names(self.path)
            except OSError:
                if os.path.exists(marker):
                    os.unlink(marker)
                raise
        except FileExistsError as error:
            raise StorageError(f"{error.filename} is not a directory", "set OFFLOAD_HOME to another place") from error
        except FileNotFoundError as error:
            raise StorageError(
                f"{self.path} cannot be made: {error.strerror}", "set OFFLOAD_HOME to another place"
            ) from error
        except NotADirectoryError as error:
            raise StorageError(f"{self.path} lies below a file", "set OFFLOAD_HOME to another place") from error
        except OSError as error:
            raise translated(error, self.path) from error


def unreachable(path: str, error: OSError) -> StorageError:
    """Return the error to raise where a home, or what is in it, cannot be looked at."""
    return StorageError(
        f"{path} cannot be read: {error.strerror}",
        "check the owner and mode of it and of the directories above, or set OFFLOAD_HOME to another place",
    )


def _chosen(path: str | None, variable: str) -> str | None:
    """Return the absolute path that was given, or else the one that a variable names."""
    path = path or os.environ.get(variable)
    if path and path.startswith(DEPLOYMENT):
        return path
    return os.path.abspath(os.path.expanduser(path)) if path else None


def _is_home(path: str) -> bool:
    """Tell whether there is a home that this program knows; False when there is no FORMAT file yet."""
    marker = os.path.join(path, "FORMAT")
    try:
        descriptor = os.open(marker, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        raise StorageError(f"{path} is not a directory", "set OFFLOAD_HOME to a directory") from None
    except OSError as error:
        raise unreachable(path, error) from error
    try:
        text = os.read(descriptor, 100).decode("ascii", "replace")
    except IsADirectoryError:
        text = ""
    except OSError as error:
        raise StorageError(f"{marker} cannot be read: {error.strerror}", "check the disk") from error
    finally:
        os.close(descriptor)
    version = text.removeprefix(_PREFIX).strip()
    if not text.startswith(_PREFIX) or not version.isdigit():
        raise DamagedError(
            f"{marker} does not say that this is an offload home",
            "set OFFLOAD_HOME to another directory, or move this one aside",
        )
    if int(version) > FORMAT:
        raise StorageError(
            f"{path} was written by a newer offload (format {version}; this one knows {FORMAT})",
            "update offload, or set OFFLOAD_HOME to another directory",
        )
    return True
