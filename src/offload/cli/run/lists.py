"""The arguments of ``offload run`` of many commands: lists on the command line, lines of files, columns."""

from __future__ import annotations

import itertools
import os
import sys

from offload.cli.run.options import Parsed
from offload.cli.run.request import resources_of, timeout_of, variables_of
from offload.commands.placeholders import expand, expand_words, uses
from offload.commands.request import Request
from offload.errors import UsageError
from offload.notices import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Row = tuple[str, ...]

LISTS = (":::", ":::+", "::::", "::::+")
"""What begins a list on the command line: of arguments, of files; with `+`, it goes along with the list before it."""


def has_lists(parsed: Parsed) -> bool:
    """Return whether a command line has lists of arguments."""
    return parsed.each is not None or not set(LISTS).isdisjoint(parsed.command)


def rows_of(parsed: Parsed) -> tuple[list[str], list[Row]]:
    """Return the command, and what is to be put into it: a row for each time that it is to be run.

    Several lists are combined, each argument of one with each of the others; those that go along are read side by side.
    """
    words = parsed.command
    begins = [position for position, word in enumerate(words) if word in LISTS]
    command = words[: begins[0]] if begins else words
    # Each source gives rows; sources are combined in the end.
    sources: list[list[Row]] = []
    if parsed.each is not None:
        sources.append([(line,) for line in lines_of(parsed.each, parsed.null, "--each")])
    for begin, end in itertools.pairwise([*begins, len(words)]):
        mark, given = words[begin], words[begin + 1 : end]
        if mark.startswith("::::"):
            if not given:
                raise UsageError(f"{mark} needs the name of a file, whose lines are the arguments")
            given = [line for name in given for line in lines_of(name, parsed.null, mark)]
        if not mark.endswith("+"):
            sources.append([(argument,) for argument in given])
            continue
        if not sources:
            raise UsageError(f"{mark} goes along with the list before it, and there is none", ":::")
        if len(given) != len(sources[-1]):
            raise UsageError(
                f"the list after {mark} has {counted(len(given), 'argument')}, and the one that it goes along with "
                f"{len(sources[-1]):,}"
            )
        sources[-1] = [(*row, argument) for row, argument in zip(sources[-1], given, strict=True)]
    rows = [tuple(itertools.chain.from_iterable(chosen)) for chosen in itertools.product(*sources)]
    return command, rows if parsed.colsep is None else _columns(rows, parsed.colsep)


def lines_of(name: str, null: bool, option: str) -> list[str]:
    """Return the arguments in a file, one a line, or one before each null character; empty ones are passed over."""
    try:
        if name == "-":
            data = sys.stdin.buffer.read()
        else:
            with open(name, "rb") as stream:
                data = stream.read()
    except OSError as error:
        raise UsageError(f"{option} {name}: {error.strerror}") from error
    if null:
        return [os.fsdecode(entry) for entry in data.split(b"\0") if entry]
    if b"\0" in data:
        raise UsageError(
            f"{option} {name}: there are null characters between the arguments",
            "-0 (--null) is for such lists, as find -print0 writes them",
        )
    lines = [os.fsdecode(line.removesuffix(b"\r")) for line in data.split(b"\n")]
    return [line for line in lines if line.strip()]


def _columns(rows: list[Row], separator: str) -> list[Row]:
    """Return rows whose arguments are split into columns by a pattern."""
    import re

    try:
        pattern = re.compile(separator)
    except re.error as error:
        raise UsageError(f"--colsep {separator}: not a pattern: {error}") from error
    if pattern.fullmatch(""):
        raise UsageError(f"--colsep {separator!r} matches nothing at all, and so everywhere", "--colsep ,")
    found = [tuple(itertools.chain.from_iterable(pattern.split(argument) for argument in row)) for row in rows]
    count = max(map(len, found), default=0)
    for row in found:
        if len(row) != count:
            raise UsageError(
                f"{' '.join(row)!r} has {len(row)} of {count} columns",
                "each line needs as many columns as the others; --colsep says what separates them",
            )
    return found


class Requests:
    """The request of each row, made when it is asked for: of a long list, all at once would take much memory.

    Parameters
    ----------
    parsed : Parsed
        The options.
    command : sequence of str
        The command, with placeholders.
    rows : sequence of tuple of str
        What is to be put into it.
    """

    def __init__(self, parsed: Parsed, command: Sequence[str], rows: Sequence[Row]) -> None:
        columns = len(rows[0]) if rows else 1
        self._command = command if uses([*command, *parsed.var], columns) else [*command, "{}"]
        self._parsed = parsed
        self._rows = rows
        self._variables = variables_of(parsed.var)
        # One that has the whole row in it, and nothing else that could be equal or has to be checked for each.
        self.are_different = (
            "{}" in self._command
            and not (parsed.input or parsed.output or self._variables)
            and len(set(rows)) == len(rows)
        )
        self._resources, self._timeout = resources_of(parsed.resources), timeout_of(parsed.timeout)
        if parsed.output:
            _check_outputs(self)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._rows)

    def __iter__(self) -> Iterator[Request]:
        """Give all of them, in order."""
        return map(self._request, range(len(self)))

    def __getitem__(self, chosen: slice) -> list[Request]:
        """Return some of them."""
        return [self._request(number) for number in range(*chosen.indices(len(self)))]

    def _request(self, position: int) -> Request:
        parsed, row, number = self._parsed, self._rows[position], position + 1
        return Request(
            expand_words(self._command, row, number),
            inputs=[expand(word, row, number) for word in parsed.input],
            outputs=[expand(word, row, number) for word in parsed.output],
            variables={name: expand(value, row, number) for name, value in self._variables.items()},
            stdin="none",
            scratch=parsed.scratch,
            detect=parsed.detect,
            fresh=parsed.fresh,
            environment=parsed.env,
            resources=self._resources,
            timeout=self._timeout,
        )


def unmatched(rows: Sequence[Row]) -> str | None:
    """Return the one argument there is, where it is a pattern that matches no file: a shell passes it on as it is."""
    if len(rows) != 1 or len(rows[0]) != 1:
        return None
    (argument,) = rows[0]
    return argument if not set("*?[").isdisjoint(argument) and not os.path.lexists(argument) else None


def _check_outputs(requests: Iterable[Request]) -> None:
    """Refuse commands that would write the same file: the last one would win."""
    writers: dict[str, tuple[str, ...]] = {}
    for request in requests:
        for output in request.outputs:
            writer = writers.setdefault(output, tuple(request.argv))
            if writer != tuple(request.argv) and not output.endswith("/") and not os.path.isdir(output):
                raise UsageError(
                    f"several commands would write the output {output}",
                    f"put the argument into its name: --output '{{/.}}-{os.path.basename(output)}'; a directory that "
                    f"they share ends with a slash: --output {output}/",
                )
