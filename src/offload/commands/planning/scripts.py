"""Programs that the scripts of a command name: what a shell script, a makefile and their like start in their turn.

Their texts are read as program texts (``sh -c TEXT``) are: each word that is the name of a program of the user's on
``PATH`` counts. A word too many costs at most a needless run.
"""

from __future__ import annotations

import os

from offload.commands.planning.detect import SHELLS, is_system, words_of_text
from offload.commands.planning.programs import search_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from offload.commands.planning.inputs import PlannedInput
    from offload.commands.planning.plan import Plan

MOST_BYTES = 1024 * 1024
_NAMED = (".py", ".sh", ".bash", ".r", ".R", ".pl", ".jl", ".rb", ".js")
_ENDINGS = (".sh", ".bash", ".zsh", ".ksh", ".smk", ".mk")
_NAMES = frozenset("Makefile makefile GNUmakefile Snakefile Justfile justfile build.ninja".split())


# What may stand before a command in its line.
_BEFORE = frozenset("! do else env exec if nice then time until while {".split())


class Scripts:
    """Reads scripts, each once."""

    def __init__(self) -> None:
        self._words: dict[str, frozenset[str]] = {}
        self._own: dict[str, frozenset[str]] = {}

    def names(
        self, argv: Sequence[str], program: str, interpreter: str, inputs: Sequence[PlannedInput], path: str | None
    ) -> list[str]:
        """Return the words in the scripts of a command that are names of programs of the user's.

        Parameters
        ----------
        argv : sequence of str
            The command.
        program : str
            Where its first word leads to.
        interpreter : str
            What runs that, where it is a script.
        inputs : sequence of PlannedInput
            Scripts are among them.
        path : str, optional
            Where programs are looked for; default ``PATH``.
        """
        places = list(dict.fromkeys(_scripts(argv, program, interpreter, inputs)))
        if not places:
            return []
        own = self._own_programs(path or search_path())
        return sorted({word for place in places for word in self._words_in(place) & own})

    def words(self, argv: Sequence[str], inputs: Sequence[PlannedInput]) -> set[str]:
        """Return the words in scripts that are inputs of a command; see `names`."""
        return {word for place in _scripts(argv, "", "", inputs) for word in self._words_in(place) if "/" not in word}

    def starts(self, plan: Plan, interpreter: str, programs: frozenset[str]) -> bool:
        """Return whether a line of the scripts of a command starts one of these programs."""
        places = _scripts(plan.request.argv, plan.executable, interpreter, plan.inputs)
        return any(
            not programs.isdisjoint(_started(place))
            for place in places
            if not self._words_in(place).isdisjoint(programs)
        )

    def _words_in(self, place: str) -> frozenset[str]:
        if place not in self._words:
            self._words[place] = frozenset(_words(place))
        return self._words[place]

    def _own_programs(self, path: str) -> frozenset[str]:
        """Return the names of all that lies in the directories of a search path that are not the system's."""
        if path not in self._own:
            names: set[str] = set()
            for directory in path.split(os.pathsep):
                if directory and not is_system(os.path.realpath(directory)):
                    try:
                        names.update(os.listdir(directory))
                    except OSError:  # much that is on PATH is not there
                        continue
            self._own[path] = frozenset(names)
        return self._own[path]


def words_in(place: str) -> set[str]:
    """Return the words of a script."""
    return set(_words(place))


def is_script(path: str) -> bool:
    """Tell whether a file is one that a program interprets: by its name, or its first line."""
    if path.endswith(_NAMED):
        return True
    try:
        with open(path, "rb") as stream:
            return stream.read(2) == b"#!"
    except OSError:
        return False


def _scripts(argv: Sequence[str], program: str, interpreter: str, inputs: Sequence[PlannedInput]) -> Iterator[str]:
    if interpreter and os.path.basename(interpreter) in SHELLS:
        yield program
    if not inputs:
        return
    given = {
        os.path.normpath(word)
        for shell, words in ((word, argv[place + 1 :]) for place, word in enumerate(argv))
        if os.path.basename(shell) in SHELLS
        for word in words[:_REACH]
    }
    for item in inputs:
        if item.tree is not None:
            for entry in item.tree.entries:
                if entry.name in _NAMES or (entry.kind == "file" and entry.name.endswith(_ENDINGS)):
                    yield f"{item.source}/{entry.name}"
        elif item.path in given or _is_named_so(item.path) or (item.executable and _is_for_a_shell(item.source)):
            yield item.source


_REACH = 6
"""So many words after the name of a shell may be its script: options come before it."""


def _is_named_so(path: str) -> bool:
    return path.endswith(_ENDINGS) or os.path.basename(path) in _NAMES


def _is_for_a_shell(path: str) -> bool:
    try:
        with open(path, "rb") as stream:
            line = stream.readline(256) if stream.read(2) == b"#!" else b""
    except OSError:
        return False
    return any(os.path.basename(word) in SHELLS for word in os.fsdecode(line).split())


def _started(path: str) -> Iterator[str]:
    """Give the first words of the commands in a text."""
    with open(path, "rb") as stream:
        text = os.fsdecode(stream.read(MOST_BYTES))
    for command in text.replace("\n", ";").replace("&", ";").replace("|", ";").replace("(", ";").split(";"):
        words = (word.lstrip("@-+") for word in command.split() if "=" not in word)
        yield next((word.rpartition("/")[2] for word in words if word not in _BEFORE), "")


def _words(path: str) -> Iterator[str]:
    """Give the words of a text but for comments; none of what is no text."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(MOST_BYTES)
    except OSError:
        return
    if b"\0" in data:
        return
    for line in os.fsdecode(data).splitlines():
        if not line.lstrip().startswith("#"):
            yield from (word.lstrip("@-+") for word in words_of_text(line.partition(" #")[0]))
