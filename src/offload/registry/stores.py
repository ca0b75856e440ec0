"""From what a home names to stores and databases: files of this machine, or the storage of a deployment."""

from __future__ import annotations

from offload.storage.home import DEPLOYMENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.storage.database import Database
    from offload.storage.home import Home
    from offload.storage.retrying import Patience
    from offload.storage.store import Store


def store_of(home: Home) -> Store:
    """Open the store that a home names, with what is read through it.

    Parameters
    ----------
    home : Home
        Its deployments are found in its registry.
    """
    own = _store(home, home.store)
    if not home.also:
        return own
    from offload.storage.layered import LayeredStore

    return LayeredStore([own, *(_store(home, DEPLOYMENT + name) for name in home.also.split(","))])


def database_of(home: Home) -> Database:
    """Open the database that a home names, with what is read through it; see `store_of`."""
    own = _database(home, home.database)
    if not home.also:
        return own
    from offload.storage.layered import LayeredDatabase

    return LayeredDatabase([own, *(_database(home, DEPLOYMENT + name) for name in home.also.split(","))])


def _store(home: Home, address: str) -> Store:
    if not address.startswith(DEPLOYMENT):
        from offload.storage.local.store import DirectoryStore

        return DirectoryStore(address)
    from offload.storage.retrying import PatientStore

    name = address.removeprefix(DEPLOYMENT)

    def make() -> Store:  # when something is asked of it: what is recorded here is recalled without it
        from offload.registry.connect import store

        return store(home.path, name)

    return PatientStore(make, lambda: _patience(home, name))


def _database(home: Home, address: str) -> Database:
    if not address.startswith(DEPLOYMENT):
        from offload.storage.local.database import SqliteDatabase

        return SqliteDatabase(address)
    from offload.storage.retrying import PatientDatabase

    name = address.removeprefix(DEPLOYMENT)

    def make() -> Database:
        from offload.registry.connect import database

        return database(home.path, name)

    return PatientDatabase(make, lambda: _patience(home, name))


def _patience(home: Home, name: str) -> Patience:
    from offload.registry.waiting import storage_patience

    return storage_patience(home.path, name)
