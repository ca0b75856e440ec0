"""The store, the database and the file-checksum cache in use, in this process."""

from __future__ import annotations

import os
import threading

from offload.registry.deployments import Registry
from offload.registry.location import home, is_elsewhere, kept, kept_by, kept_embedded
from offload.registry.stores import database_of, store_of
from offload.storage.file_checksums import FileChecksums
from offload.storage.home import DEPLOYMENT, Home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from offload.errors import DecodeError
    from offload.registry.deployments import Place
    from offload.registry.location import Kept
    from offload.storage.claims import Claims
    from offload.storage.database import Database
    from offload.storage.home import Key
    from offload.storage.records import Entry
    from offload.storage.store import Store


class Session:
    """Storage as this process uses it, opened once for each home, store and database.

    Parameters
    ----------
    home : Home
        Says where all of it is.

    Attributes
    ----------
    store : Store
        Keeps the buffers.
    database : Database
        Keeps which result each transformation has.
    files : FileChecksums
        Remembers the checksums of files that have not changed.

    Raises
    ------
    StorageError
        If the home cannot be used.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self.store: Store = store_of(home)
        self.database: Database = database_of(home)
        self._files: FileChecksums | None = None
        self._claims: Claims | None = None
        self._lost: set[str] = set()

    @property
    def files(self) -> FileChecksums:
        """The file-checksum cache, opened when it is first needed."""
        if self._files is None:
            self._files = FileChecksums(self.home.files)
        return self._files

    @property
    def claims(self) -> Claims:
        """What is being computed now by processes of this machine that use the same database."""
        if self._claims is None:
            from offload.storage.claims import claims_at

            database = self.home.database
            elsewhere = database.startswith(DEPLOYMENT)
            self._claims = claims_at(os.path.join(self.home.path, "claims") if elsewhere else database + "-claims")
        return self._claims

    def recall(self, transformations: Sequence[str]) -> list[bytes | None]:
        """Return the recorded results.

        Parameters
        ----------
        transformations : sequence of str
            Checksums of transformations.

        Returns
        -------
        list of bytes or None
            The buffers of the results, verified; None where there is none, or where its buffer is gone.
        """
        results = self.database.lookup(transformations)
        wanted = [r for r in results if r is not None]
        if not wanted:
            return [None] * len(results)
        found = self.store.get(wanted)
        if None in found:
            lost = {r for r, buffer in zip(wanted, found, strict=True) if buffer is None}
            self._lost.update(t for t, r in zip(transformations, results, strict=True) if r in lost)
        if len(found) == len(results):
            return found
        buffers = iter(found)
        return [next(buffers) if r is not None else None for r in results]

    def will_replace(self, transformation: str) -> None:
        """Have what is recorded next take the place of a recorded result that is not good for all."""
        self._lost.add(transformation)

    def give_up(self, transformation: str, label: str, error: DecodeError) -> None:
        """Forget a recorded result that cannot be decoded here, and say so: the call is computed again."""
        import warnings

        from offload.errors import EffectWarning
        from offload.notices import users_level

        self.database.forget([transformation])
        text = f"{label}: computed again: {error.message}"
        warnings.warn(EffectWarning(text), stacklevel=users_level())

    def record(self, entries: Sequence[Entry]) -> list[str]:
        """Record results whose buffers are in the store.

        Returns
        -------
        list of str
            What became of each entry, as :meth:`offload.storage.database.Database.record` says.
        """
        if self._lost:
            for entry in entries:
                entry.replace = entry.replace or entry.transformation in self._lost
        outcomes = self.database.record(entries)
        self._lost.difference_update(entry.transformation for entry in entries)
        return outcomes

    def close(self) -> None:
        """Let go of files and connections."""
        self.store.close()
        self.database.close()
        if self._files is not None:
            self._files.close()
        if self._claims is not None:
            self._claims.rest()


_sessions: dict[tuple[str, Kept], Session] = {}
_lock = threading.Lock()


def current() -> Session:
    """Return the session of this process: of the user's home, with the store and the database that are in use.

    What says so (``OFFLOAD_HOME`` and the other variables, the active deployment) is looked at each time.
    """
    path = home()
    return session_of(path, kept(path))


def session_of(path: str, storage: Kept) -> Session:
    """Return the session of a home with a store and a database, opening it when it is first asked for."""
    session = _sessions.get((path, storage))
    if session is None:
        with _lock:
            session = _sessions.get((path, storage))
            if session is None:
                session = _sessions[path, storage] = Session(Home(path, *storage))
    return session


def session_at_home(key: Key) -> Session:
    """Return the session of a home, by its :attr:`offload.storage.home.Home.key`."""
    return session_of(key[0], key[1:])


def session_at(chosen: str | None) -> tuple[Session, Place | None]:
    """Return where commands are looked up and recorded, and the deployment that they go to; None for embedded.

    Parameters
    ----------
    chosen : str, optional
        As for :meth:`offload.registry.deployments.Registry.active`.
    """
    path = home()
    place = Registry(path).active(chosen)
    return (session_of(path, kept_embedded()) if place is None else session_of_place(place)), place


def session_there(place: Place) -> Session | None:
    """Return a session with only the storage of a deployment on another machine; None for one of this machine."""
    if not is_elsewhere(place):
        return None
    address = DEPLOYMENT + place.name
    return session_of(place.home, (address, address, ""))


def session_of_place(place: Place) -> Session:
    """Return the session with the store and the database of a deployment, whatever the environment says."""
    return session_of(place.home, kept_by(place.home, place.name))


def close_sessions() -> None:
    """Close every open session."""
    with _lock:
        while _sessions:
            _sessions.popitem()[1].close()
