"""What cannot be followed: code and names that a function makes up while it runs. The user is told, once for each."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.identity.codes import Code, Read
    from offload.identity.graph import Graph

_NEVER = {
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "globals"),
    ("importlib", "reload"),
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
_COMPUTED = {("builtins", "getattr"), ("builtins", "__import__"), ("importlib", "import_module")}


def unfollowed(code: Code, read: Read, found: object) -> str | None:
    """Return what a read gets hold of that nobody can follow, as words for the user, or None.

    Parameters
    ----------
    code : Code
        The code that reads.
    read : Read
        What it reads.
    found : object
        What stands for it in the graph.
    """
    if not (isinstance(found, list) and found and found[0] == "external") or read.kind == "load":
        return None
    path = [*str(found[1]).split("."), *(found[2:3] if len(found) > 2 else read.attributes)]
    for end in range(2, len(path) + 1):
        named = ".".join(path[: end - 1]), str(path[end - 1])
        if named in _NEVER:
            return named[1] if named[0] == "builtins" else f"{named[0].lstrip('_')}.{named[1]}"
        if named in _COMPUTED:
            used = read.attributes[-1] if read.attributes else read.name
            return None if code.fixed.get(used) else f"{named[1]} with a computed name"
    return None


_told: set[tuple[str, str]] = set()


def tell(graph: Graph) -> None:
    """Warn of what a graph could not follow; once in a process for each function."""
    for label, found in graph.unfollowed.items():
        new = [what for what in dict.fromkeys(found) if (label, what) not in _told]
        if new:
            from offload.notices import users_level, warn

            _told.update((label, what) for what in new)
            warn(
                f"{label} uses {', '.join(new)}: what it gets that way does not count, so results may be stale when it "
                "changes; declare it with @offload.task(depends_on=[...])",
                stacklevel=users_level(),
            )
