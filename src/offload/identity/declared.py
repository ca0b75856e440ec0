"""What a user declares beside the code: environment variables, further dependencies, a version instead of the code.

In the process that identifies a call these are looked up. A worker is told what was found, counts with that, and runs
the function with these values of the variables. For calls that this one makes there, files count as they are by then.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import CoroutineType, FunctionType, ModuleType
from typing import Any

from offload.errors import EncodeError, IdentityError, UsageError
from offload.identity.functions.graph import DESCRIBERS, Graph
from offload.identity.ignored import ignored_values
from offload.identity.inspection import module_of
from offload.identity.libraries.distributions import owner
from offload.identity.values.encode import identify

# Of a declaration: its kind, name, and what counts of it.
Part = tuple[str, str, str | None]

_lock = threading.RLock()  # the environment is the whole process's


class Declared:
    """A function with what was declared for it; it is called as the function is.

    Parameters
    ----------
    function : callable
        The function.
    environ : sequence of str
        Environment variables that it reads.
    depends_on : sequence
        Functions, classes, modules, files or values that count besides.
    version : str, optional
        Counts instead of the code that the function reaches.
    ignore : sequence of str
        Names of parameters and of variables that do not count.
    found : list of Part, optional
        What was found where the call was identified. By default it is looked up.

    Raises
    ------
    UsageError
        If the declaration is not well-formed.
    """

    def __init__(
        self,
        function: Any,
        environ: Any = (),
        depends_on: Any = (),
        version: str | None = None,
        found: list[Part] | None = None,
        ignore: Any = (),
    ) -> None:
        if isinstance(ignore, str) or not all(isinstance(name, str) and name for name in ignore):
            raise UsageError("ignore takes a list of names", 'write ignore=["ureg"]')
        if isinstance(environ, str) or not all(isinstance(name, str) for name in environ):
            raise UsageError("environ takes a list of names of environment variables", 'write environ=["NAME"]')
        if not isinstance(depends_on, (list, tuple)):
            raise UsageError("depends_on takes a list", "write depends_on=[...], also for a single dependency")
        if version is not None and not isinstance(version, str):
            raise UsageError("version takes a string", f"write version={str(version)!r}")
        self.function = function
        self.environ = tuple(dict.fromkeys(environ))
        self.depends_on = tuple(_absolute(one) for one in depends_on)
        self.version = version
        self.ignore = tuple(dict.fromkeys(ignore))
        self._found = found
        self._are_here: list[bool] | None = None

    def __reduce__(self) -> Any:
        files = tuple(one if isinstance(one, os.PathLike) else None for one in self.depends_on)
        return Declared, (self.function, self.environ, files, self.version, self.as_now(), self.ignore)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, in the environment that it was identified with."""
        with self._in_environment():
            result = self.function(*args, **kwargs)
        return self._awaited(result) if type(result) is CoroutineType else result

    async def _awaited(self, coroutine: Any) -> Any:
        with self._in_environment():
            return await coroutine

    @contextmanager
    def _in_environment(self) -> Iterator[None]:
        wanted = {name: value for kind, name, value in self._found or () if kind == "variable"}
        if all(os.environ.get(name) == value for name, value in wanted.items()):
            yield
            return
        with _lock:
            before = {name: os.environ.get(name) for name in wanted}
            _set(wanted)
            try:
                yield
            finally:
                _set(before)

    def parts(self) -> list[Part]:
        """Return what counts of the declarations: where it was not handed over, as it is now."""
        if self._found is not None:
            if self._are_here is None:  # a worker need not see what its call does not read
                self._are_here = [one is not None and os.path.lexists(one) for one in self.depends_on]
            return self._found
        found: list[Part] = [("variable", name, os.environ.get(name)) for name in self.environ]
        for dependency in self.depends_on:
            found.append(("dependency", _name(dependency), _digest(dependency)))
        return found + [("ignored", name, None) for name in self.ignore]

    def as_now(self) -> list[Part]:
        """Return what counts as it is now, also of files where the rest was handed over: a call may have changed them.

        By that a call counts which another one makes on a worker.
        """
        found = self.parts()
        if self._are_here is not None:
            found = found.copy()
            for place, (file, is_here) in enumerate(zip(self.depends_on, self._are_here, strict=True)):
                if is_here:
                    kind, name, _ = found[len(self.environ) + place]
                    found[len(self.environ) + place] = kind, name, _digest(file)
        return found

    def modules(self) -> set[str]:
        """Return the modules of installed distributions that the dependencies reach."""
        modules: set[str] = set()
        for dependency in self.depends_on if self._found is None else ():
            identify(dependency, modules)
        return modules


_mode = threading.local()


@contextmanager
def as_now() -> Iterator[None]:
    """Have files that are declared count as they are, in what this thread identifies meanwhile."""
    before, _mode.now = getattr(_mode, "now", False), True
    try:
        yield
    finally:
        _mode.now = before


def _absolute(dependency: Any) -> Any:
    """Return a dependency; of a path, the file or directory that is there."""
    if isinstance(dependency, os.PathLike):
        from offload.identity.files import Directory, File

        if not isinstance(dependency, File):
            return (Directory if os.path.isdir(dependency) else File)(dependency)
    return dependency


def _name(dependency: Any) -> str:
    if isinstance(dependency, ModuleType):
        return str(dependency.__name__)
    if isinstance(dependency, os.PathLike):
        return str(os.path.basename(os.fspath(dependency)))
    if isinstance(dependency, (type, FunctionType)):
        return str(dependency.__qualname__)
    text = repr(dependency)
    return f"a {type(dependency).__qualname__}" if " at 0x" in text or len(text) > 60 else text


def _digest(dependency: Any) -> str:
    try:
        return str(identify(dependency))
    except EncodeError as exc:
        raise IdentityError(f"depends_on: {exc.message}", exc.hint) from exc


def _set(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _describe(graph: Graph, declared: Declared, where: str) -> object:
    values = ignored_values(declared.function, declared.ignore)
    if declared is graph.root:  # who vouches for a task within another one does not do so for that
        graph.ignored = values
        for value in values.values():
            owner(graph, module_of(type(value)))  # the version of its library counts all the same
    found = graph.ask(declared.as_now if getattr(_mode, "now", False) else declared.parts)
    graph.modules |= declared.modules()
    if declared.version is None:
        what = graph.describe(declared.function, where)
    else:
        what = graph.leaf("version", f"of {label_of(declared.function)}", declared.version)
    return ["declared", what, [graph.leaf(kind, name, value) for kind, name, value in found]]


def label_of(function: Any) -> str:
    """Return the ``module:qualname`` by which a function with a declared version goes, wherever it is run from."""
    from offload.identity.references import reference_name

    try:
        return reference_name(function)[0]
    except AttributeError:  # a callable object
        return reference_name(type(function))[0]


DESCRIBERS[Declared] = _describe
