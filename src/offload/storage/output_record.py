"""What is known of an output: where it belongs, and its content by checksum."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.identity.directories import TreeEntry


class OutputRecord:
    """A file or directory that a command or call made.

    Parameters
    ----------
    path : str
        Where it belongs, normalised.
    kind : str
        ``"file"`` or ``"directory"``.
    checksum : str
        Of the content, or of the manifest.
    executable : bool
        For a file.
    """

    __slots__ = ("checksum", "entries", "executable", "kind", "path")

    def __init__(self, path: str, kind: str, checksum: str, executable: bool) -> None:
        self.path = path
        self.kind = kind
        self.checksum = checksum
        self.executable = executable
        self.entries: list[TreeEntry] = []
