"""Where a worker has the files that a call needs: in their places, or laid out from a snapshot."""

from __future__ import annotations

import os
from importlib.machinery import EXTENSION_SUFFIXES
from sysconfig import get_platform

from offload.errors import OffloadError
from offload.transport.sources import Script, Sources, checksum_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from offload.snapshots.unpack import Tree
    from offload.storage.store import Store
    from offload.transport.files import Sent


def seen_here(
    sources: Sources,
    snapshot: str,
    store: Callable[[], Store] | None,
    directory: str,
    given: Iterable[Sent] = (),
) -> tuple[Sources, str]:
    """Return files as they are to be had here, and why they are not, or nothing.

    Parameters
    ----------
    sources : Sources
        The files, where they come from.
    snapshot : str
        The checksum of the snapshot that was taken there; "" for none.
    store : callable, optional
        Gives the store that has it; None where this process sees no storage.
    directory : str
        One that ends with this worker.
    given : iterable of Sent
        Files and directories that calls were given.
    """
    lacking = next((path for path, digest in sources.files.items() if checksum_of(path) != digest), None)
    if lacking is None:
        return sources, ""
    if not snapshot:
        return sources, f"{lacking} is {'another file' if os.path.exists(lacking) else 'not'} there"
    if store is None:
        return sources, f"{lacking} is not there, and this worker does not see the storage of its deployment"
    from offload.snapshots.unpack import lay_out

    try:
        below = tuple(os.path.join(root, "") for root in sources.roots)
        tree = lay_out(snapshot, store(), directory, [one for one in given if one[0].startswith(below)])
    except (OffloadError, OSError) as exc:
        return sources, f"{lacking} is not there, and cannot be laid out: {exc}"
    return _below(sources, tree)


def _below(sources: Sources, tree: Tree) -> tuple[Sources, str]:
    """Return files as they lie in a tree, and why they are of no use, or nothing."""
    for path in sources.files:
        if not path.endswith((".py", ".pyc")) and (why := _unfit(path, tree.platform)):
            return sources, why
    files = {tree.path + path: digest for path, digest in sources.files.items()}
    for path, digest in files.items():
        if checksum_of(path) != digest:
            return sources, f"{path[len(tree.path) :]} was changed before the call was submitted"
    script = sources.script
    if script is not None:
        script = Script(tree.path + script.path, script.package)
    instead = tuple((name, tree.path + root) for name, root in sources.instead)
    return Sources(tuple(tree.path + root for root in sources.roots), files, script, instead), ""


def _unfit(path: str, platform: str) -> str:
    """Return why an extension module cannot be loaded here, or nothing."""
    name = os.path.basename(path)
    if platform != get_platform():
        return f"{name} is made for {platform}, and this is {get_platform()}"
    if name[name.index(".") :] not in EXTENSION_SUFFIXES:
        return f"{name} is made for another Python than the one here, which takes {', '.join(EXTENSION_SUFFIXES)}"
    return ""
