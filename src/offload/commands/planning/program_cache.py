"""Which programs a command uses, and what is installed beside them; for many commands, each is looked up once."""

from __future__ import annotations

import os

from offload.commands.planning.detect import shell_names
from offload.commands.planning.in_place import environment_of
from offload.commands.planning.program_software import installed, prefixes
from offload.commands.planning.programs import interpreter, own_program, resolve
from offload.commands.planning.python_code import code_beside, is_python, project_code
from offload.commands.planning.scripts import Scripts
from offload.commands.planning.times import GO_BY_TIMES, goes_by_times

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from offload.commands.named_environments import NamedEnvironment
    from offload.commands.planning.inputs import PlannedInput
    from offload.commands.planning.plan import Plan
    from offload.commands.planning.sought import Sought
    from offload.storage.file_checksums import FileChecksums


_OF_THE_SYSTEM = ("/usr/bin/", "/bin/")


class Programs:
    """Finds programs.

    Parameters
    ----------
    files : FileChecksums
        Knows the checksums of files.
    """

    def __init__(self, files: FileChecksums) -> None:
        self._files = files
        self._programs: dict[tuple[str, str | None], str] = {}
        self._own: dict[tuple[str, str | None], str | None] = {}
        self._interpreters: dict[tuple[str, str | None], tuple[str, str] | None] = {}
        self._installed: dict[str, list[str]] = {}
        self._environments: dict[str, NamedEnvironment] = {}
        self._beside: dict[tuple[str, ...], tuple[set[str], bytes, bool]] = {}
        self._projects: dict[str, list[str]] = {}
        self._libraries: dict[str, dict[str, str]] = {}
        self._scripts = Scripts()

    def environment(self, name: str | None) -> NamedEnvironment | None:
        """Return the environment of a name; None for none."""
        if name is None:
            return None
        if name not in self._environments:
            from offload.commands.named_environments import find_environment

            self._environments[name] = find_environment(name)
        return self._environments[name]

    def program(self, name: str, path: str | None) -> str:
        """Return where a command's first word leads to; programs are looked for in a path, or in ``PATH``."""
        program = self._programs.get((name, path))
        if program is None:
            program = self._programs[name, path] = resolve(name, path)
        return program

    def named(
        self, argv: Sequence[str], program: str, path: str | None, inputs: Sequence[PlannedInput] = ()
    ) -> dict[str, str]:
        """Return what else a command names: programs of the user's in program texts and scripts, what runs scripts."""
        found: dict[str, str] = {}
        runner = self._interpreter(program, path)
        words = self._scripts.names(argv, program, runner[1] if runner else "", inputs, path)
        for word in [*shell_names(argv), *words]:
            if (word, path) not in self._own:
                self._own[word, path] = own_program(word, path)
            place = self._own[word, path]
            if place is not None:
                found[word] = place
        for script in (program, *found.values()):
            running = self._interpreter(script, path)
            if running is not None:
                found.setdefault(*running)
        own = {item.source: not item.in_place for item in inputs if item.tree is None and item.executable}
        for one in dict.fromkeys((program, *found.values(), *own)):
            found.update(self._linked(one, own.get(one, False)))
        return found

    def _linked(self, program: str, copied: bool) -> dict[str, str]:
        """Return the libraries that a program is linked with, and that are not the system's."""
        if program.startswith(_OF_THE_SYSTEM):
            return {}
        if program not in self._libraries:
            from offload.identity.libraries.linked_libraries import linked_libraries

            inside = environment_of(program)  # what lies there counts by what is installed there
            found = {} if inside is not None else linked_libraries(program, copied=copied)
            self._libraries[program] = {name: os.path.realpath(path) for name, path in found.items()}
        return self._libraries[program]

    def sought(self, plan: Plan) -> Sought:
        """Return what is to be looked for where a command is to find its programs, if that is not here."""
        from offload.commands.planning.sought import sought

        argv, files = plan.request.bare, [item.source for item in plan.inputs if item.tree is None]
        return sought(argv, files, self._scripts.words(argv, plan.inputs))

    def goes_by_times(self, plan: Plan) -> bool:
        """Return whether a command, or a script of it, starts a program that compares the times of files."""
        if goes_by_times(plan.request.argv):
            return True
        return self._scripts.starts(plan, self._runner(plan), GO_BY_TIMES)

    def _interpreter(self, script: str, path: str | None) -> tuple[str, str] | None:
        if (script, path) not in self._interpreters:
            self._interpreters[script, path] = interpreter(script, path)
        return self._interpreters[script, path]

    def _code(self, plan: Plan, programs: Sequence[str]) -> list[str]:
        """Return what counts of the code that the programs of a command import from where it lies."""
        lines = []
        for prefix in dict.fromkeys(prefix for program in programs for prefix in prefixes(program)):
            if prefix not in self._projects:
                self._projects[prefix] = project_code(prefix, self._files)
            lines += self._projects[prefix]
        runs = not is_python(plan.executable) and is_python(self._runner(plan))
        return lines + code_beside(plan.request.argv, plan.executable, runs, self._files)

    def _runner(self, plan: Plan) -> str:
        """Return what runs a command's program, where that is a script."""
        found = next((one for (script, _), one in self._interpreters.items() if script == plan.executable), None)
        return "" if found is None else found[1]

    def installed(self, plan: Plan) -> bytes:
        """Return the names of what is installed where the programs of a command lie, a line each."""
        programs = _all(plan)
        environment = "" if plan.environment is None else plan.environment.prefix
        beside = self._beside.get((environment, *programs))
        if beside is None:
            names = self._installed_beside(plan, programs)
            beside = self._beside[environment, *programs] = names, _lines(names), any(map(is_python, programs))
        names, lines, runs_python = beside
        return _lines({*names, *self._code(plan, programs)}) if runs_python else lines

    def _installed_beside(self, plan: Plan, programs: Sequence[str]) -> set[str]:
        names: set[str] = set()
        if plan.environment is not None:
            names.update(plan.environment.manifest(self._files))
        for program in programs:
            folder = os.path.dirname(program)
            key = program if folder.startswith("/usr") else folder
            if key not in self._installed:
                self._installed[key] = installed(program)
            names.update(self._installed[key])
        return names


def _lines(names: set[str]) -> bytes:
    return "\n".join(sorted(names)).encode("utf-8", "surrogateescape")


def _all(plan: Plan) -> list[str]:
    """Return the programs of a command whose environments count; among its inputs, those that lie in one."""
    own = (item.source for item in plan.inputs if item.executable and environment_of(item.source) is not None)
    return list(dict.fromkeys((plan.executable, *plan.programs.values(), *own)))
