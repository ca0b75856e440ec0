"""What is begun now and done later, of tasks and of tasks that were taken from an instance."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence
    from typing import Any, Generic, ParamSpec, TypeVar, overload

    from offload.tasks.futures import Future

    P = ParamSpec("P")
    R = TypeVar("R", covariant=True)
    T = TypeVar("T")
else:
    from offload.util.typing import Generic, P, R, overload


class Begun(Generic[P, R]):
    """The base of tasks: a function of the parameters `P` that returns an `R`."""

    __slots__ = ()

    def _begin(self, rows: Sequence[tuple[tuple[Any, ...], dict[str, Any]]]) -> list[Future[Any]]:
        raise NotImplementedError

    @overload
    def submit(self: Begun[P, Coroutine[Any, Any, T]], *args: Any, **kwargs: Any) -> Future[T]: ...
    @overload
    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Future[R]: ...
    @overload
    def submit(self, *args: Any, **kwargs: Any) -> Future[R]: ...
    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        """Begin a call on one of this machine's cores.

        Arguments may be futures, also within lists, tuples and dicts: the call begins when they are done.

        Returns
        -------
        Future
            Done at once where the result is recalled.
        """
        return self._begin([(args, kwargs)])[0]

    @overload
    def map(self: Begun[P, Coroutine[Any, Any, T]], *iterables: Iterable[Any], **constant: Any) -> list[Future[T]]: ...
    @overload
    def map(self, *iterables: Iterable[Any], **constant: Any) -> list[Future[R]]: ...
    def map(self, *iterables: Iterable[Any], **constant: Any) -> list[Future[Any]]:
        """Begin a call for each item of an iterable, or for each row of several, which must be equally long.

        Keyword arguments are the same in each call: ``simulate.map(seeds, steps=1000)``.

        Returns
        -------
        list of Future
            In the order of the items. Recorded results are looked up, and new ones computed, in batches.
        """
        return self._begin([(row, constant) for row in zip(*iterables, strict=True)])

    @overload
    def starmap(
        self: Begun[P, Coroutine[Any, Any, T]], rows: Iterable[Iterable[Any]], **constant: Any
    ) -> list[Future[T]]: ...
    @overload
    def starmap(self, rows: Iterable[Iterable[Any]], **constant: Any) -> list[Future[R]]: ...
    def starmap(self, rows: Iterable[Iterable[Any]], **constant: Any) -> list[Future[Any]]:
        """Begin a call for each row of positional arguments, as :meth:`map` does: ``distance.starmap(pairs)``."""
        return self._begin([(tuple(row), constant) for row in rows])
