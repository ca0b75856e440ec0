"""``@offload.task(environment=...)``: a task whose calls are made by a process of another environment."""

from __future__ import annotations

from offload.api.named.messages import CALL, FRESH, SUBMIT, WHY
from offload.api.task import Task
from offload.identity.values.objects import register
from offload.tasks import unchanged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, ParamSpec, TypeVar

    from offload.api.named.partner import Partner
    from offload.records.explanation import Explanation
    from offload.tasks.futures import Future

    P = ParamSpec("P")
    R = TypeVar("R", covariant=True)
else:
    from offload.util.typing import P, R


class TaskInEnvironment(Task[P, R]):
    """A task that names an environment.

    A process of that environment identifies, recalls, computes and submits its calls, as if the program ran there. A
    call within another call is part of that one, and runs where that runs.

    Parameters
    ----------
    function : callable
        The function.
    environment : str
        Where it runs; see :func:`offload.api.named.finding.find_python`.
    *more, **named
        As a task takes them.
    """

    def __init__(self, function: Callable[P, R], environment: str, *more: Any, **named: Any) -> None:
        super().__init__(function, *more, **named)
        self.environment = environment
        self._python = ""

    @property
    def made_of(self) -> tuple[Any, ...]:
        """What to make a task like this one of."""
        function, *more = super().made_of
        return function, self.environment, *more

    def partner(self) -> Partner | None:
        """Return the process that makes the calls; None where this one does."""
        from offload.api.named.finding import find_python, is_own
        from offload.api.named.partner import partner_of

        if unchanged.is_under_way():
            return None
        if not self._python:
            code = getattr(self.function, "__code__", None)
            self._python = find_python(self.environment, getattr(code, "co_filename", None))
        return None if is_own(self._python) else partner_of(self._python)

    def is_elsewhere(self) -> bool:
        """Tell whether calls are made by the process of the environment."""
        return self.partner() is not None

    def elsewhere(self, ready: Sequence[tuple[Future[Any], tuple[Any, ...], dict[str, Any]]]) -> bool:
        """Have calls made by the process of the environment; False where this process makes them."""
        partner = self.partner()
        if partner is not None:
            partner.begin(SUBMIT, self, ready)
        return partner is not None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the result, recalled or computed there; of a coroutine function, a coroutine that does."""
        made: R = self._made(CALL, args, kwargs)
        return made

    def fresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Compute a call there, even where its result is recorded; of a coroutine function, a coroutine."""
        made: R = self._made(FRESH, args, kwargs)
        return made

    def _made(self, what: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        from offload.registry.switch import is_off

        partner = None if is_off() else self.partner()
        if partner is None:
            return super().fresh(*args, **kwargs) if what == FRESH else super().__call__(*args, **kwargs)
        (future,) = partner.ask(what, self, [(args, kwargs)])
        return future._awaited() if self._asynchronous else future.result()

    def why(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Explanation | None:
        """Return what `offload.why` tells of a call there; None where this process makes the calls."""
        partner = self.partner()
        if partner is None:
            return None
        explanation: Explanation = partner.ask(WHY, self, [(args, kwargs)])[0].result()
        return explanation


register(
    TaskInEnvironment,
    encode=lambda t: [t.function, t.environment, t.scratch, None if t.root is t.function else t.root],
    decode=lambda state: TaskInEnvironment(*state[:3], root=state[3]),
    name="offload.TaskInEnvironment",
)
