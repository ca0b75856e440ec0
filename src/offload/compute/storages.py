"""From what a home names to stores and databases: files of this machine, or the storage of a deployment."""

from __future__ import annotations

from offload.storage.home import DEPLOYMENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.compute.places import Place
    from offload.storage.database import Database
    from offload.storage.home import Home
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


def is_elsewhere(place: Place) -> bool:
    """Tell whether a deployment is on another machine: it has its own storage, which is read through here."""
    from offload.compute.kept import kept_by

    return place.name in kept_by(place.home, place.name)[2].split(",")


def _store(home: Home, address: str) -> Store:
    if address.startswith(DEPLOYMENT):
        from offload.compute.deployed import store
        from offload.compute.waiting import storage_patience
        from offload.storage.patient import PatientStore

        name = address.removeprefix(DEPLOYMENT)
        return PatientStore(lambda: store(home.path, name), storage_patience(home.path, name))
    from offload.storage.directory import DirectoryStore

    return DirectoryStore(address)


def _database(home: Home, address: str) -> Database:
    if address.startswith(DEPLOYMENT):
        from offload.compute.deployed import database
        from offload.compute.waiting import storage_patience
        from offload.storage.patient import PatientDatabase

        name = address.removeprefix(DEPLOYMENT)
        return PatientDatabase(lambda: database(home.path, name), storage_patience(home.path, name))
    from offload.storage.results import SqliteDatabase

    return SqliteDatabase(address)
