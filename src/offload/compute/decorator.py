"""``@offload.task``: makes tasks of functions."""

from __future__ import annotations

import functools

from offload.compute.tasks import Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


def task(
    function: Callable[..., Any] | None = None,
    /,
    *,
    scratch: bool = False,
    effects: str = "watch",
    environ: Sequence[str] = (),
    depends_on: Sequence[Any] = (),
    version: str | None = None,
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
    if function is None:
        return functools.partial(
            task, scratch=scratch, effects=effects, environ=environ, depends_on=depends_on, version=version
        )
    if not environ and not depends_on and version is None:
        return Task(function, scratch, effects)
    from offload.identity.declared import Declared

    return Task(function, scratch, effects, Declared(function, environ, depends_on, version))
