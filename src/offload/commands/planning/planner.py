"""From requests to plans: what each command depends on, found, hashed and identified, all in batches."""

from __future__ import annotations

import os
import sys

from offload.commands.planning.detect import detect
from offload.commands.planning.inputs import look, status_of
from offload.commands.planning.plan import Plan
from offload.commands.planning.program_cache import Programs
from offload.commands.planning.program_software import software_checksum
from offload.commands.planning.times import modification_order
from offload.errors import UsageError
from offload.util import bytecode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from offload.commands.planning.inputs import PlannedInput
    from offload.commands.planning.stdin import Stdin
    from offload.commands.request import Asking, Request
    from offload.storage.file_checksums import FileChecksums


class Planner:
    """Makes plans; what several commands have in common is looked at once.

    Parameters
    ----------
    files : FileChecksums
        Knows the checksums of files.
    apart : sequence of str
        Absolute paths (offload's own home) that are no part of any input directory.
    recorded : callable
        Tells whether a result is recorded: among workers with different programs, one that has given a result counts.

    Attributes
    ----------
    programs : Programs
        Finds the programs.
    """

    def __init__(
        self, files: FileChecksums, apart: Sequence[str] = (), recorded: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._files = files
        self._recorded = recorded
        self._apart = apart
        try:
            self._cwd = os.getcwd()
        except FileNotFoundError:
            raise UsageError("the current directory does not exist any more", "cd to one that does") from None
        self._known: dict[tuple[str, str, tuple[str, ...]], PlannedInput] = {}
        self.programs = Programs(files)

    def plan(self, requests: Sequence[Request], stdin: Stdin) -> list[Plan]:
        """Return a plan for each request.

        Parameters
        ----------
        requests : sequence of Request
            Any number.
        stdin : Stdin
            The standard input of each of them.

        Raises
        ------
        UsageError
            For an input that is missing, unreadable, special or too large to be meant.
        """
        plans = [self._outline(request, stdin) for request in requests]
        inputs = {id(item): item for plan in plans for item in plan.inputs if not item.checksum}.values()
        self._hash(inputs, plans)
        asked: dict[Asking, list[Plan]] = {}
        for plan in plans:
            if self.programs.goes_by_times(plan):
                plan.order = modification_order(plan.inputs)
            plan.identify(stdin.identity)
            if plan.request.asking is not None:
                plan.sought = self.programs.sought(plan)
                asked.setdefault(plan.request.asking, []).append(plan)
        for asking, some in asked.items():
            asking.ask(some, self._recorded)
        return plans

    def _outline(self, request: Request, stdin: Stdin) -> Plan:
        name = request.argv[0]
        environment = self.programs.environment(request.environment)
        path = None if environment is None else environment.variables()["PATH"]
        program = self.programs.program(name, path)
        # The order matters: what is declared is taken as declared, even if it would be detected too.
        found: dict[str, PlannedInput] = {}
        for word in request.inputs:
            self._add(found, word, "declared", request)
        if "/" in name and name[0] != "/":
            self._add(found, name, "command", request)
        if request.detect:
            for word in detect(request.argv, request.output_paths):
                self._add(found, word, "detected", request)
            if request.variables:
                for word in detect(["env", *_named(request.variables)], request.output_paths):
                    self._add(found, word, "detected", request)
        inputs = list(found.values())
        programs = self.programs.named(request.argv, program, path, inputs)
        plan = Plan(request, program, inputs, stdin, programs)
        plan.environment = environment
        return plan

    def software(self, plan: Plan) -> str | None:
        """Return the checksum of what is installed where the programs of a command lie; None where that is nothing."""
        return software_checksum(self.programs.installed(plan))

    def _add(self, found: dict[str, PlannedInput], word: str, how: str, request: Request) -> None:
        path = os.path.normpath(word) if word else ""
        there = found.get(path)
        if there is None:
            found[path] = self._input(word, path, how, request)
        elif word not in there.words:
            status = status_of(word)
            if there.inode != (status.st_dev, status.st_ino):
                raise UsageError(f"{there.source} and {word} are different files, but have one place in a copy: {path}")
            there.words.append(word)

    def _input(self, word: str, path: str, how: str, request: Request) -> PlannedInput:
        excluded = self._excluded(path, request.output_paths)
        key = (word, how, excluded)
        item = self._known.get(key)
        if item is None:
            item = self._known[key] = look(word, path, how, excluded)
        return item

    def _excluded(self, path: str, outputs: Sequence[str]) -> tuple[str, ...]:
        """Return what below a directory is no part of it as an input: the command's outputs, offload's home."""
        root = os.path.normpath(os.path.join(self._cwd, path)).rstrip("/") + "/"
        apart = [os.path.normpath(os.path.join(self._cwd, output)) for output in outputs]
        return tuple(name.removeprefix(root) for name in (*apart, *self._apart) if name.startswith(root))

    def _hash(self, inputs: Iterable[PlannedInput], plans: Sequence[Plan]) -> None:
        paths: dict[str, None] = {}
        for plan in plans:
            paths[plan.executable] = None
            paths.update(dict.fromkeys(plan.programs.values()))
        for item in inputs:
            read = [item.source] if item.tree is None else item.tree.paths()
            paths.update(dict.fromkeys(read))
            if item.in_place:
                bytecode.drop_stale(read)
        names = list(paths)
        for name in names:
            sys.audit("offload.file", name)  # a call that is running has made use of it
        checksums = dict(zip(names, self._files.checksums(names), strict=True))
        trees = [item for item in inputs if item.tree is not None]
        for item in inputs:
            if item.tree is None:
                item.checksum = checksums[item.source]
        if trees:
            from offload.identity.checksums import checksum

            for item in trees:
                assert item.tree is not None
                item.checksum = checksum(item.tree.manifest(checksums))
        software: dict[bytes, str | None] = {}
        for plan in plans:
            plan.executable_checksum = checksums[plan.executable]
            plan.program_checksums = {name: checksums[path] for name, path in plan.programs.items()}
            plan.installed = self.programs.installed(plan)
            if plan.installed not in software:
                software[plan.installed] = software_checksum(plan.installed)
            plan.software = software[plan.installed]

    def changed(self, plan: Plan) -> list[str]:
        """Return what a command executed or read in place, and is no longer what it was when the plan was made."""
        before = {path: plan.program_checksums[name] for name, path in plan.programs.items()}
        if plan.executable.startswith("/") and plan.request.there is None:  # what a relative path leads to was copied
            before[plan.executable] = plan.executable_checksum
        now = self.present(list(before))
        programs = [path for path, checksum in before.items() if now.get(path) != checksum]
        return programs + [item.path for item in plan.in_place() if not self.is_unchanged(item)]

    def present(self, paths: Sequence[str]) -> dict[str, str]:
        """Return the checksums that files have now; what cannot be read is left out."""
        there = [path for path in paths if os.path.isfile(path) and os.access(path, os.R_OK)]
        return dict(zip(there, self._files.checksums(there), strict=True))

    def is_unchanged(self, item: PlannedInput) -> bool:
        """Return whether an input is what it was when the plan was made."""
        try:
            again = look(item.source, item.path, item.how, item.excluded)
        except UsageError:
            return False
        self._hash([again], ())
        return again.checksum == item.checksum and again.executable == item.executable


def _named(variables: Mapping[str, str]) -> Iterator[str]:
    """Give the paths that the values of variables name: files, and the directories of a search path."""
    for name, value in variables.items():
        for word in value.split(os.pathsep):
            if os.path.isfile(word) or (name.endswith("PATH") and word not in ("", os.curdir)):
                yield word
