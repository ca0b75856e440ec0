"""What a command needs to know of the programs of workers, where it uses those."""

from __future__ import annotations

import os

from offload.commands.planning.detect import is_system, shell_names
from offload.commands.planning.programs import named_interpreter, search_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Sought:
    """What a command needs to know of the programs of workers.

    Attributes
    ----------
    main : str
        What it starts; "" where that is an input.
    programs : tuple of str
        That, what runs a script that is an input, what this machine has no program of the name of, and files that it
        does not have: they count wherever they lie.
    words : tuple of str
        What may be further programs; those that come with the operating system do not count.
    """

    __slots__ = ("main", "programs", "words")

    def __init__(self, main: str, programs: Iterable[str], words: Iterable[str]) -> None:
        self.main = main
        self.programs = tuple(programs)
        self.words = tuple(words)


def sought(argv: Sequence[str], inputs: Sequence[str], words: Iterable[str]) -> Sought:
    """Return what is to be looked for.

    Parameters
    ----------
    argv : sequence of str
        The command.
    inputs : sequence of str
        Files that go along, and may be scripts.
    words : iterable of str
        Those in its scripts.
    """
    main = argv[0] if "/" not in argv[0] or argv[0].startswith("/") else ""
    runs = [running for one in inputs if os.access(one, os.X_OK) and (running := named_interpreter(one))]
    files = [word for word in argv[1:] if word.startswith("/") and not is_system(word) and not os.path.lexists(word)]
    further = dict.fromkeys([*shell_names(argv), *words])
    here = [directory for directory in search_path().split(os.pathsep) if os.path.isdir(directory)]
    both = [word for word in further if any(os.path.isfile(f"{directory}/{word}") for directory in here)]
    only_there = [word for word in further if word not in set(both)]
    return Sought(main, dict.fromkeys([*([main] if main else ()), *runs, *files, *only_there]), both)
