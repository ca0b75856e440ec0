"""Whose code is it: Python's own, an installed distribution's, or the user's project's?

Code that the RECORD of a distribution in a site directory lists counts by the distribution's name and version; the
standard library by the interpreter's minor version. All other code is the project's and counts by content: editable
installs of every kind, distributions that were installed from a local directory, checkouts on the path, with or without
metadata beside them.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from base64 import urlsafe_b64encode
from functools import cache
from hashlib import sha256
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.identity.functions.graph import Graph

PROJECT = "project"
STANDARD = "standard"
# Offload's own functions say how work is run, not what it computes.
OWN = "offload"
# Types of Cython that many distributions share: each brings them, the first that is imported provides them. Metaclasses
# of these have no name of a module at all.
_CYTHON = ("_cyutility", "_cython_")

SITES = ("site-packages", "dist-packages")
_SYSTEM = ("/usr/lib/", "/usr/lib64/")
_STANDARD_ROOTS = tuple(
    os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib") if sysconfig.get_path(name)
)


def origin(module_name: str | None) -> str:
    """Return where a module's code comes from.

    Parameters
    ----------
    module_name : str or None
        A dotted module name, as in ``__module__``.

    Returns
    -------
    str
        ``"project"``, ``"standard"``, or ``"NAME==VERSION"`` of the distribution that it belongs to.
    """
    if not module_name or module_name == "__main__":
        return PROJECT
    if not isinstance(module_name, str) or module_name.startswith(_CYTHON):
        return STANDARD
    module_name = own_name(module_name)
    module = sys.modules.get(module_name)
    if isinstance(module, ModuleType):
        file = getattr(module, "__file__", None)
        if file is None:
            spec = getattr(module, "__spec__", None)
            if spec is not None and spec.origin in ("built-in", "frozen"):
                return STANDARD
            paths = list(getattr(module, "__path__", ()))
            return _origin_of_path(module_name, os.path.join(paths[0], "")) if paths else PROJECT
        above = module_name.rpartition(".")[0]
        if getattr(module, "__spec__", None) is None and getattr(sys.modules.get(above), "__file__", None) == file:
            return origin(above)  # an extension module makes modules within itself
        return _origin_of_path(module_name, file)
    top = module_name.partition(".")[0]
    if top in sys.modules and top != module_name:
        return origin(top)
    if top in sys.stdlib_module_names:
        return STANDARD
    return _origin_of_unloaded(top)


def own_name(module_name: str) -> str:
    """Return what a module calls itself, where it is known by a second name."""
    module = sys.modules.get(module_name)
    name = getattr(module, "__name__", None)
    return name if isinstance(name, str) and sys.modules.get(name) is module else module_name


def _origin_of_unloaded(top: str) -> str:
    """Return where a module would be imported from, without importing it."""
    for finder in sys.meta_path:
        spec = finder.find_spec(top, None)
        if spec is None:
            continue
        if spec.origin and spec.has_location:
            return _origin_of_path(top, spec.origin)
        paths = list(spec.submodule_search_locations or ())
        return _origin_of_path(top, os.path.join(paths[0], "")) if paths else PROJECT
    return PROJECT


def owner(graph: Graph, module_name: str | None) -> str:
    """Return the origin of a module that a graph reaches; of an installed distribution's, the graph takes note."""
    where = origin(module_name)
    if where not in (PROJECT, STANDARD):
        assert module_name is not None
        graph.modules.add(own_name(module_name).partition(".")[0])
    return where


@cache
def _origin_of_path(module_name: str, path: str) -> str:
    real = os.path.realpath(path)
    top = module_name.partition(".")[0]
    if top == OWN:
        return STANDARD
    if real.startswith(_STANDARD_ROOTS) and not set(SITES) & set(real.split(os.sep)):
        return STANDARD
    if path.endswith(os.sep):  # a namespace package: its parts tell
        return _namespace_origin(path, top)
    root = _import_root(module_name, path)
    if root is None:
        return PROJECT
    return _distribution_of(root, os.path.relpath(path, root), top) or PROJECT


def _import_root(module_name: str, path: str) -> str | None:
    """Return the directory on the import path under which `path` stands for `module_name`."""
    levels = module_name.count(".") + (1 if os.path.basename(path).partition(".")[0] == "__init__" else 0)
    root = os.path.dirname(path)
    for _ in range(levels):
        root = os.path.dirname(root)
    return root if os.path.isdir(root) else None


def _namespace_origin(path: str, top: str) -> str:
    folder = os.path.dirname(path)
    while os.path.basename(folder) != top and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    root = os.path.dirname(folder)
    return _distribution_of(root, os.path.relpath(path, root) + os.sep, top) or PROJECT


@cache
def _metadata_folders(root: str) -> tuple[str, ...]:
    try:
        return tuple(sorted(n for n in os.listdir(root) if n.endswith((".dist-info", ".egg-info"))))
    except OSError:
        return ()


def _distribution_of(root: str, relative: str, top: str) -> str | None:
    """Return ``NAME==VERSION`` of the distribution under `root` that lists `relative`, or None.

    What was installed from a file or a repository also has a checksum of its files (``NAME==VERSION+files.9f2c``):
    it can be built again under the same version.
    """
    if os.path.basename(root) not in SITES:
        return None
    plain = top.lower().replace("_", "").replace("-", "")
    folders = _metadata_folders(root)
    # The one that is named like the module is nearly always the owner; look there first.
    likely = [f for f in folders if f.lower().replace("_", "").replace("-", "").startswith(plain)]
    wanted = relative.replace(os.sep, "/")
    for folder in [*likely, *(f for f in folders if f not in likely)]:
        name, _, version = folder.rpartition(".")[0].partition("-")
        if not version:
            continue
        files = _listed(os.path.join(root, folder))
        if f"\n{wanted}," in files or (wanted.endswith("/") and f"\n{wanted}" in files) or f"\n{top}\n" in files:
            if _is_linked_and_edited(root, wanted, files):
                return None
            version = version.partition("-py")[0]
            return f"{name}=={version}{_files_mark(os.path.join(root, folder))}"
    return None


@cache
def _listed(metadata: str) -> str:
    """Return the text that lists a distribution's files, or nothing where they count by content."""
    origin = _direct_url(metadata)
    if '"dir_info"' in origin and _text(metadata, "INSTALLER").strip() != "conda":
        return ""  # installed from a local directory: the same version may hold other code tomorrow
    record = _text(metadata, "RECORD")
    if not record and os.path.dirname(metadata).startswith(_SYSTEM):
        # Distributions of the operating system have no RECORD; their metadata names the top-level modules.
        record = _text(metadata, "top_level.txt")
    return "\n" + record if record else ""


def _direct_url(metadata: str) -> str:
    """Return where a distribution was installed from, if not from an index: a directory, a file, a repository."""
    return _text(metadata, "direct_url.json")


@cache
def _files_mark(metadata: str) -> str:
    """Return what tells apart two distributions of one name and version; nothing for those of an index."""
    if not _direct_url(metadata) or _text(metadata, "INSTALLER").strip() == "conda":
        return ""
    # Scripts hold the path of their environment, and the metadata tells of the installation.
    lines = (line for line in _text(metadata, "RECORD").splitlines() if ",sha256=" in line)
    kept = sorted(line for line in lines if ".dist-info/" not in line and not line.startswith(("../", "/")))
    return f"+files.{sha256(chr(10).join(kept).encode()).hexdigest()[:12]}"


def _is_linked_and_edited(root: str, relative: str, record: str) -> bool:
    """Tell whether a file is a link to another place, and has not the content that was installed.

    Some installers link to their cache, others to a checkout that is being edited.
    """
    path = os.path.join(root, relative)
    if relative.endswith("/") or os.path.realpath(path).startswith(os.path.join(os.path.realpath(root), "")):
        return False
    listed = record.partition(f"\n{relative},sha256=")[2].partition(",")[0]
    try:
        with open(path, "rb") as file:
            found = sha256(file.read()).digest()
    except OSError:
        return True
    return listed != urlsafe_b64encode(found).decode().rstrip("=")


def _text(metadata: str, name: str) -> str:
    try:
        with open(os.path.join(metadata, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:  # there is none, or the metadata is a single file
        return ""


def interpreter() -> str:
    """Return the name and minor version of the running interpreter, such as ``cpython-3.11``."""
    return f"{sys.implementation.name}-{sys.version_info[0]}.{sys.version_info[1]}"


def lists(root: str, relative: str) -> bool:
    """Tell whether a distribution that is installed under `root` lists a file, or files below a directory."""
    top = relative.partition(os.sep)[0].partition(".")[0]
    return any(_distribution_of(root, path, top) is not None for path in (relative, os.path.join(relative, "")))
