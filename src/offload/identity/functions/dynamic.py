"""What cannot be followed: code and names that a function makes up while it runs. The user is told, once for each."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.identity.functions.bytecode import Code, Read
    from offload.identity.functions.graph import Graph

_NEVER = {
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "globals"),
    ("gc", "get_objects"),
    ("gc", "get_referrers"),
    ("importlib", "reload"),
    ("importlib.metadata", "entry_points"),
    ("importlib_metadata", "entry_points"),
    ("pkg_resources", "iter_entry_points"),
    ("importlib.util", "module_from_spec"),
    ("importlib.util", "spec_from_file_location"),
    ("marshal", "loads"),
    ("_pickle", "load"),
    ("_pickle", "loads"),
    ("pickle", "load"),
    ("pickle", "loads"),
    ("runpy", "run_module"),
    ("runpy", "run_path"),
    ("sys", "modules"),
}
_COMPUTED = {
    ("builtins", "getattr"),
    ("builtins", "__import__"),
    ("importlib", "import_module"),
    ("pkgutil", "resolve_name"),
    ("pydoc", "locate"),
}
_FRAMES = {("inspect", "currentframe"), ("inspect", "stack"), ("sys", "_getframe")}


def external_path(read: Read, found: object) -> list[str] | None:
    """Return the parts of the full name of what a read finds outside of the project, or None."""
    if not (isinstance(found, list) and found and found[0] == "external") or read.kind == "load":
        return None
    return [*str(found[1]).split("."), *(found[2:3] if len(found) > 2 else read.attributes)]


def imports_by_name(read: Read, path: list[str]) -> bool:
    """Tell whether a read finds, by a name of its own, a function that imports modules by their names."""
    used = read.attributes[-1] if read.attributes else read.name
    return (".".join(path[:-1]), path[-1]) in _COMPUTED and path[-1] not in ("getattr", used)


def unfollowed(code: Code, read: Read, path: list[str]) -> str | None:
    """Return what a read gets hold of that nobody can follow, as words for the user, or None.

    Parameters
    ----------
    code : Code
        The code that reads.
    read : Read
        What it reads.
    path : list of str
        The parts of its full name.
    """
    for end in range(2, len(path) + 1):
        named = ".".join(path[: end - 1]), str(path[end - 1])
        if named in _NEVER:
            return named[1] if named[0] == "builtins" else f"{named[0].lstrip('_')}.{named[1]}"
        if named in _FRAMES and not code.names.isdisjoint(("f_globals", "f_locals")):
            return ".".join(named)
        if named in _COMPUTED:
            used = read.attributes[-1] if read.attributes else read.name
            return None if code.fixed.get(used) else f"{named[1]} with a computed name"
    return None


def magic(code: Code, read: Read) -> str | None:
    """Return that a read gets hold of IPython to run text as code, or None."""
    runs = read.name == "get_ipython" and not code.names.isdisjoint(("run_cell", "run_cell_magic", "run_line_magic"))
    return "a magic command of IPython" if runs else None


MOST_TOLD = 3
"""Functions of which each is told in a line of its own."""

_told: set[tuple[str, str]] = set()


def tell(graph: Graph) -> None:
    """Warn of what a graph could not follow; once in a process for each function."""
    new: dict[str, list[str]] = {}
    for label, found in graph.unfollowed.items():
        whats = [what for what in dict.fromkeys(found) if (label, what) not in _told]
        if whats:
            new[label] = whats
            _told.update((label, what) for what in whats)
    if len(new) > MOST_TOLD:  # most of them are somewhere in a large library
        first, *others = new
        every = dict.fromkeys(what for whats in new.values() for what in whats)
        _warn(f"{first} and {len(others)} more that {graph.nodes[0].label} reaches use {', '.join(every)}", "they get")
        return
    for label, whats in new.items():
        _warn(f"{label} uses {', '.join(whats)}", "it gets")


def _warn(fact: str, gets: str) -> None:
    from offload.notices import users_level, warn

    warn(
        f"{fact}: what {gets} that way does not count, so results may be stale when it changes; "
        "declare it with @offload.task(depends_on=[...])",
        stacklevel=users_level(),
    )
