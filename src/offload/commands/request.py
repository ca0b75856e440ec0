"""What a user asks for: a command, its declared inputs and outputs, and how to run it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod

from offload.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from offload.util.resources import Resources

MAX_LABEL = 2000


class Asking(ABC):
    """Knows the programs of a deployment's workers."""

    @abstractmethod
    def ask(self, plans: Sequence[Any], recorded: Callable[[str], bool]) -> None:
        """Have the programs that commands find there count for these.

        Parameters
        ----------
        plans : sequence of Plan
            Are changed.
        recorded : callable
            Tells whether a result is recorded.

        Raises
        ------
        CommandNotFoundError
            If no worker has the program.
        """

    def __reduce__(self) -> Any:
        return type(None), ()  # nothing of it travels with a request


class Request:
    """One command to run or to recall.

    Parameters
    ----------
    argv : sequence of str
        The command and its arguments.
    inputs : iterable of str
        Declared input files and directories, in addition to detected ones.
    outputs : iterable of str
        Files and directories to bring back; a trailing slash says "directory", and it is created beforehand.
    variables : mapping, optional
        Environment variables for the command; they count.
    stdin : str
        ``"auto"`` (see :mod:`offload.commands.planning.stdin`), ``"none"``, ``"-"`` (read to its end), or a path.
    scratch : str, optional
        Where to make the scratch directory; default ``$TMPDIR``, else ``/tmp``.
    detect : bool
        Whether the words of the command are looked at for inputs.
    environment : str, optional
        A virtual or conda environment, by its directory or name, in which the command finds its programs.
    fresh : bool
        Compute even if a result is recorded.
    resources : Resources
        What it needs of its worker on a deployment.
    timeout : float, optional
        Seconds after which it is ended, and has failed.

    Attributes
    ----------
    there : dict or None
        What counts of the machine whose programs it uses, where they are not those of this one.
    asking : Asking or None
        Knows these programs.
    bare : list of str
        The command as the user has given it, without what looks for its program there.

    Raises
    ------
    UsageError
        For an empty command, an impossible name, or an output that cannot be brought back.
    """

    __slots__ = (
        "argv", "asking", "bare", "detect", "environment", "fresh", "inputs", "output_paths", "outputs", "resources",
        "scratch", "stdin", "there", "timeout", "variables",
    )  # fmt: skip

    def __init__(
        self,
        argv: Sequence[str],
        *,
        inputs: Iterable[str] = (),
        outputs: Iterable[str] = (),
        variables: Mapping[str, str] | None = None,
        stdin: str = "auto",
        scratch: str | None = None,
        detect: bool = True,
        fresh: bool = False,
        environment: str | None = None,
        resources: Resources = (),
        timeout: float | None = None,
    ) -> None:
        self.argv = list(argv)
        self.inputs = list(inputs)
        self.outputs = list(outputs)
        self.variables = dict(variables or {})
        self.stdin = stdin
        self.scratch = scratch
        self.detect = detect
        self.fresh = fresh
        self.environment = environment
        self.resources = resources
        self.timeout = timeout
        self.there: dict[str, Any] | None = None
        self.asking: Asking | None = None
        self.bare = self.argv
        if not self.argv or not self.argv[0]:
            raise UsageError("no command to run", "offload run -- COMMAND [ARG...]")
        for word in self.argv:
            if "\0" in word:
                raise UsageError("an argument of the command contains a null character")
        for name, value in self.variables.items():
            if not name or "=" in name or "\0" in name + value:
                raise UsageError(f"--var {name}={value}: not the name and value of an environment variable")
        self.output_paths = sorted({normal_output(path) for path in self.outputs})

    @property
    def label(self) -> str:
        """The command line as one string, as a person would type it; no longer than a person would read."""
        text = quote(self.argv)
        if len(text) > MAX_LABEL:
            text = text[: MAX_LABEL - 3] + "..."
        # Words need not be valid text; labels are.
        return text if text.isascii() else os.fsencode(text).decode("utf-8", "replace")


def normal_output(path: str) -> str:
    """Return a declared output in the one form that counts."""
    if not path or "\0" in path:
        raise UsageError("an output needs a name", "--output PATH")
    if path.startswith("/"):
        raise UsageError(
            f"the output {path} is an absolute path: the command writes into a scratch directory",
            "have the command write to a relative path, and declare that",
        )
    normal = os.path.normpath(path)
    if normal.rpartition("/")[2] in (".", ".."):
        raise UsageError(f"the output {path} names the current directory or one above it", "declare what is in it")
    return normal


def quote(argv: Iterable[str]) -> str:
    """Return words joined as a POSIX shell would read them back.

    Examples
    --------
    >>> quote(["sh", "-c", "seq 1 10 | tac"])
    "sh -c 'seq 1 10 | tac'"
    """
    return " ".join(map(quoted, argv))


def quoted(word: str) -> str:
    """Return one word as it is to be typed in a POSIX shell."""
    return word if _is_plain(word) else "'" + word.replace("'", "'\"'\"'") + "'"


def _is_plain(word: str) -> bool:
    return bool(word) and word.isascii() and word.translate(_PLAIN).isalnum()


_PLAIN = str.maketrans(dict.fromkeys("@%+=:,./-_", "a"))
