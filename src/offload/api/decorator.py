"""``@offload.task``: makes tasks of functions."""

from __future__ import annotations

import functools

from offload.api.task import Task
from offload.errors import UsageError
from offload.transport.limits import UNLIMITED, parse_limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, ParamSpec, TypeVar, overload

    from offload.util.resources import Resources

    P = ParamSpec("P")
    R = TypeVar("R")
else:
    from offload.util.typing import overload


@overload
def task(
    function: Callable[P, R],
    /,
    *,
    scratch: bool = ...,
    effects: str = ...,
    environ: Sequence[str] = ...,
    depends_on: Sequence[Any] = ...,
    version: str | None = ...,
    ignore: Sequence[str] = ...,
    resources: Mapping[str, float] | None = ...,
    timeout: float | None = ...,
    memory: str | float | None = ...,
    environment: str | None = ...,
) -> Task[P, R]: ...
@overload
def task(
    function: None = ...,
    /,
    *,
    scratch: bool = ...,
    effects: str = ...,
    environ: Sequence[str] = ...,
    depends_on: Sequence[Any] = ...,
    version: str | None = ...,
    ignore: Sequence[str] = ...,
    resources: Mapping[str, float] | None = ...,
    timeout: float | None = ...,
    memory: str | float | None = ...,
    environment: str | None = ...,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(
    function: Callable[..., Any] | None = None,
    /,
    *,
    scratch: bool = False,
    effects: str = "watch",
    environ: Sequence[str] = (),
    depends_on: Sequence[Any] = (),
    version: str | None = None,
    ignore: Sequence[str] = (),
    resources: Mapping[str, float] | None = None,
    timeout: float | None = None,
    memory: str | float | None = None,
    environment: str | None = None,
) -> Any:
    """Make a function's results recorded, and recalled when the same work is asked for again.

    The same work is the same arguments, by value, and the same code: the function's own and that of everything in the
    project that it reaches. See :mod:`offload.identity`.

    Parameters
    ----------
    function : callable
        The function. It should depend on nothing but its arguments and its code.
    scratch : bool
        Keep a record of each run but not the bytes of its result: it is computed again when it is needed again.
    effects : {"watch", "ignore"}
        Whether to watch what a call does besides computing. If it reads a file that is no input, opens a connection or
        starts a process, its result is returned but not recorded. With ``"ignore"`` it is recorded all the same: you
        say that nothing of that changes the result.
    environ : list of str
        Environment variables that the function reads: their values count, also that one is not set. Workers run the
        function with the same values.
    depends_on : list
        What else counts, where the code alone does not show it: functions, classes, modules, files
        (:class:`offload.File`, a :class:`pathlib.Path`), plain values.
    version : str
        Counts instead of all code that the function reaches, and instead of the versions of the libraries in it.
        Whoever changes what it computes changes the version.
    ignore : list of str
        Parameters, and variables of the function's module, that you vouch for: whatever they hold changes no result.
        They do not count, and are not looked into, so they may be what has no identity: a connection, a registry that
        fills itself. They still reach the function, also on workers, if they can be pickled.
    resources : mapping of str to float
        What a call needs of its worker on a deployment, beside a thread: ``{"GPU": 1}``. Only workers that have it take
        the call, and no more calls at once than it is enough for. It does not count: a result is recalled whatever
        computed it. On this machine without a deployment, it is not looked at.
    timeout : float
        Seconds that a call may take where it runs in a process of its own, which is what :meth:`Task.submit` and
        :meth:`Task.map` do: one that takes longer is ended, whatever it does, and its future raises a
        :class:`TimeoutError`. What it needs is imported before that time begins. A direct call runs in this process,
        which cannot be ended for it: no limit holds there. It does not count.
    memory : str or float
        Bytes (``"2GB"``, ``"500 MiB"``) that the process of a call may use, with the processes that the call starts. A
        call that uses more is ended, and its future raises a :class:`MemoryError`. It holds, and counts, as `timeout`.
    environment : str
        The directory of a virtual or conda environment, or its Python, that the function runs with; or a lock file, of
        which one is made. A relative one is looked for beside the file of the function, and in the directories above.
        It needs offload in the same version.
        Its Python and libraries count, in the place of those of this program. A call within another call runs where
        that runs.

    Returns
    -------
    Task
        To be called as the function is.

    Raises
    ------
    UsageError
        If it is a generator or cannot be called, or a declaration is not well-formed.

    Examples
    --------
    >>> import offload
    >>> @offload.task
    ... def area(radius):
    ...     return 3 * radius**2
    >>> area(2.0)
    12.0
    >>> import os
    >>> @offload.task(environ=["SCALE"])
    ... def scaled(x):
    ...     return x * float(os.environ.get("SCALE", 1))
    >>> scaled(2)
    2.0
    """
    needed: Resources = ()
    if resources:
        from offload.util.resources import parse_resources

        needed = parse_resources(resources)
    limits = UNLIMITED if timeout is None and memory is None else parse_limits(timeout, memory)
    if function is None:
        return functools.partial(
            task,
            scratch=scratch,
            effects=effects,
            environ=environ,
            depends_on=depends_on,
            version=version,
            ignore=ignore,
            resources=resources,
            timeout=timeout,
            memory=memory,
            environment=environment,
        )
    if isinstance(function, (staticmethod, classmethod)):
        kind = type(function).__name__
        raise UsageError(
            f"{function.__func__.__qualname__} is a {kind} already, and then it is no function to record",
            f"write @{kind} above @offload.task",
        )
    root: Any = None
    if environ or depends_on or version is not None or ignore:
        from offload.identity.declared import Declared

        root = Declared(function, environ, depends_on, version, ignore=ignore)
    if environment is not None:
        from offload.api.named.task import TaskInEnvironment

        return TaskInEnvironment(function, environment, scratch, effects, root, needed, limits)
    return Task(function, scratch, effects, root, needed, limits)
