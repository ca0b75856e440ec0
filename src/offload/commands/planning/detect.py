"""Which words of a command name inputs.

A word counts when it names a regular file or a directory that exists: as it is, after an ``=``, or inside the
program text of ``sh -c``. A word too many costs at most a needless miss; a word too few makes the command fail
in its scratch directory, with a message that says what to declare.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

SHELLS = frozenset(("sh", "bash", "dash", "zsh", "ksh", "ash", "mksh", "fish"))

# What is given a program to start, somewhere among its words.
LAUNCHERS = frozenset(
    "catchsegv chrt chronic doas env flock gdb ionice ltrace mpiexec mpirun nice nohup numactl parallel perf prlimit "
    "setarch setsid srun stdbuf strace sudo taskset time timeout unbuffer valgrind watch xargs".split()
)

# Part of the machine, not of the work. Programs and libraries there count through the command's name only.
_SYSTEM = tuple(
    f"/{name}/"
    for name in (
        "bin boot dev etc gnu lib lib32 lib64 libx32 nix opt proc run sbin snap sys usr "
        "System Library Applications private/etc"
    ).split()
)
# Named for what may be put there, never for what is in it.
_SHARED = frozenset(("/", "/tmp", "/var", "/var/tmp", "/home", "/Users", "/mnt", "/media", "/root"))

_LISTING = frozenset("dir du exa find ls lsd tree".split())
_BREAKS = str.maketrans(dict.fromkeys("\t\n\r;|&<>()`$\"'\\{}=,", " "))
_QUOTES = str.maketrans({'"': "'", "\n": "'"})
_GLOB = frozenset("*?[")
_AROUND = frozenset(" \t\n\r;|&<>(`=,{\\")


def is_system(path: str) -> bool:
    """Return whether an absolute path belongs to the machine: its programs, libraries, configuration, devices."""
    return path in _SHARED or (path.rstrip("/") + "/").startswith(_SYSTEM)


def lists_nothing(argv: Sequence[str]) -> bool:
    """Return whether a command shows what is in a directory, and names none."""
    return os.path.basename(argv[0]) in _LISTING and all(word.startswith("-") or word == "." for word in argv[1:])


def detect(argv: Sequence[str], outputs: Collection[str] = ()) -> list[str]:
    """Return the words of a command that name files or directories, as they are written, without repeats.

    Parameters
    ----------
    argv : sequence of str
        The command. ``argv[0]`` counts when it is a relative path; a bare name is looked up on PATH instead.
    outputs : collection of str
        Normalised paths that are declared as outputs, and so are no inputs.

    Returns
    -------
    list of str
        In order of appearance.
    """
    found: dict[str, None] = {}
    for word in _words(argv):
        if word in found or not word or "\0" in word:
            continue
        if word[0] == "/" and is_system(os.path.normpath(word)):
            continue
        if _is_there(word) and not _is_output(os.path.normpath(word), outputs):
            found[word] = None
    return list(found)


def absent_paths(argv: Sequence[str]) -> list[str]:
    """Return the words of a command that are absolute paths outside the system, and do not exist."""
    found = {word for word in _words(argv) if word.startswith("/") and "\0" not in word and not os.path.lexists(word)}
    return sorted(word for word in found if not is_system(os.path.normpath(word)))


def shell_names(argv: Sequence[str]) -> list[str]:
    """Return the words of program texts (``sh -c TEXT``), and of launchers, that may be names of programs."""
    words = [word for position in _scripts(argv) for word in words_of_text(argv[position])]
    if argv[0].rpartition("/")[2] in LAUNCHERS:
        words += [word for word in argv[1:] if word and " " not in word]
    return [word for word in dict.fromkeys(words) if "/" not in word and word[0] not in "-0123456789"]


def words_of_text(text: str) -> list[str]:
    """Return the words of a program text, without what a shell takes for signs."""
    return text.translate(_BREAKS).split()


def _is_there(word: str) -> bool:
    """Return whether a word names a regular file or a directory; most do not, and each is asked for once."""
    try:
        mode = os.stat(word).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _is_output(path: str, outputs: Collection[str]) -> bool:
    """Return whether a path is a declared output, or in one: there since the last time, and no input."""
    return any(path == output or path.startswith(output + "/") for output in outputs)


def _words(argv: Sequence[str]) -> Iterator[str]:
    if "/" in argv[0] and not argv[0].startswith("/"):
        yield argv[0]
    scripts = _scripts(argv)
    for position in range(1, len(argv)):
        word = argv[position]
        if position in scripts:
            yield from _shell_words(word)
            continue
        yield word
        if "=" in word:
            yield word.partition("=")[2]


def _scripts(argv: Sequence[str]) -> set[int]:
    """Return the positions of program texts: what follows the ``-c`` of a shell, wherever in the command it is."""
    positions = set()
    for start, word in enumerate(argv):
        if word.rpartition("/")[2] not in SHELLS:
            continue
        position = start + 1
        while position < len(argv) and argv[position][:1] in ("-", "+") and argv[position] not in ("-", "--"):
            option = argv[position]
            position += 1
            if option[:2] != "--" and option[0] == "-" and "c" in option:
                # Options such as -o take a word of their own before the program text: sh -ceo pipefail TEXT
                position += option.count("o") + option.count("O")
                positions.add(position)
                break
            if option in ("-o", "+o", "-O", "+O", "--rcfile", "--init-file") or option.endswith("o"):
                position += 1
    return positions


def _shell_words(text: str) -> Iterator[str]:
    place = 0
    text = _without_arithmetic(text)
    broken = text.translate(_BREAKS)  # as long as the text
    for word in broken.split():
        place = broken.index(word, place)
        before = text[:place]
        place += len(word)
        if (word[0] == "/" and _is_end(before)) or _is_written(before):
            continue
        yield word
        if not _GLOB.isdisjoint(word):
            # The shell will expand it in the scratch directory, so what it matches has to be there.
            import glob

            yield from sorted(glob.glob(word))
    for piece in text.translate(_QUOTES).split("'"):
        if " " in piece:
            yield piece


def _without_arithmetic(text: str) -> str:
    """Return a text with spaces in place of ``$((3 * 3))``: its star is no pattern."""
    begin = text.find("$((")
    while begin >= 0:
        end = text.find("))", begin)
        if end < 0:
            break
        text = text[:begin] + " " * (end + 2 - begin) + text[end + 2 :]
        begin = text.find("$((", end)
    return text


def _is_written(before: str) -> bool:
    """Return whether what follows is the file that a redirection empties and writes: ``> made.txt``, ``2>made.txt``."""
    bare = before.rstrip(" \t\"'")
    return bare.endswith(">") and not bare.endswith((">>", "<>"))


def _is_end(before: str) -> bool:
    """Return whether what follows belongs to the word before it: ``"$1"/*`` and ``${dir}/*`` are no ``/*``."""
    bare = before.rstrip("'\"")
    if len(bare) < len(before):
        return bool(bare) and bare[-1] not in _AROUND
    return before.endswith(("}", ")")) or (before.endswith("`") and before.count("`") % 2 == 0)
