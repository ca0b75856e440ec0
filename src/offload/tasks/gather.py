"""Waiting for many futures."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeVar, overload

from offload.errors import UsageError
from offload.tasks.futures import Future

T = TypeVar("T")


@overload
def gather(
    futures: Iterable[Future[T]],
    *,
    progress: bool | None = ...,
    timeout: float | None = ...,
    return_exceptions: Literal[False] = ...,
) -> list[T]: ...


@overload
def gather(
    futures: Iterable[Future[T]],
    *,
    progress: bool | None = ...,
    timeout: float | None = ...,
    return_exceptions: bool,
) -> list[T | BaseException]: ...


def gather(
    futures: Iterable[Future[T]],
    *,
    progress: bool | None = None,
    timeout: float | None = None,
    return_exceptions: bool = False,
) -> list[Any]:
    """Wait for futures and return their results, in order.

    Parameters
    ----------
    futures : iterable of Future
        What :meth:`Task.map` or several :meth:`Task.submit` returned.
    progress : bool, optional
        Whether to show how far it is, on standard error, or below the cell of a notebook. By default only in a
        terminal and in notebooks.
    timeout : float, optional
        Seconds to wait at most. By default as long as it takes.
    return_exceptions : bool
        Give what a failed call raised in place of its result, and wait for the others.

    Returns
    -------
    list
        The results.

    Raises
    ------
    TimeoutError
        If they are not all there in time; those under way go on.
    Exception
        What the first failed call raised; calls that have not begun are cancelled then. Ctrl-C cancels all of them.
    """
    from offload.tasks.progress import following

    found = _checked(futures, "gather")
    if not all(map(concurrent.futures.Future.done, found)):  # else all are recalled: nothing to wait for
        try:
            with following(found, progress):
                until = concurrent.futures.ALL_COMPLETED if return_exceptions else concurrent.futures.FIRST_EXCEPTION
                done, pending = concurrent.futures.wait(found, timeout=timeout, return_when=until)
        except BaseException:  # Ctrl-C
            for future in found:
                future.cancel()
            raise
        try:
            if not return_exceptions:
                for future in found:
                    if future in done:
                        future.result()
        except BaseException:
            for future in found:
                _cancel_waiting(future)
            raise
        if pending:
            raise TimeoutError(f"{len(pending)} of {len(found)} results are not there after {timeout} s")
    return [_result_or_error(future) for future in found] if return_exceptions else [f.result() for f in found]


def as_completed(futures: Iterable[Future[T]], *, timeout: float | None = None) -> Iterator[Future[T]]:
    """Give futures one by one as they are done: each result can be used while others are computed.

    Parameters
    ----------
    futures : iterable of Future
        What :meth:`Task.map` or several :meth:`Task.submit` returned.
    timeout : float, optional
        Seconds to wait at most for the last of them.

    Returns
    -------
    iterator of Future
        Each is done; those that were recalled come first.

    Raises
    ------
    TimeoutError
        If they are not all done in time; those under way go on.
    """
    found = concurrent.futures.as_completed(_checked(futures, "as_completed"), timeout)
    return (future for future in found if isinstance(future, Future))


def _checked(futures: Iterable[Future[T]], what: str) -> list[Future[T]]:
    if isinstance(futures, concurrent.futures.Future):
        raise UsageError(f"{what} takes a list of futures", f"{what}([future]), or future.result()")
    found = list(futures)
    wrong = next((f for f in found if not isinstance(f, concurrent.futures.Future)), None)
    if wrong is not None:
        raise UsageError(f"{what} takes futures, not a {type(wrong).__name__}", "what submit and map return")
    return found


def _cancel_waiting(future: concurrent.futures.Future[Any]) -> None:
    """Cancel a call that has not begun."""
    if isinstance(future, Future):
        future.cancel(running=False)
    else:
        future.cancel()  # as the standard library does


def _result_or_error(future: Future[T]) -> T | BaseException:
    try:
        return future.result()
    except (Exception, concurrent.futures.CancelledError) as error:
        return error
