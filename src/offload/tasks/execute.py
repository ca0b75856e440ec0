"""Calling a function of the user's, in whatever process."""

from __future__ import annotations

from types import CoroutineType

from offload.effects.attribution import runs_calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


@runs_calls
def execute(function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """Call a function; a coroutine is run to its end."""
    result = function(*args, **kwargs)
    if type(result) is not CoroutineType:
        return result
    import asyncio
    import contextvars
    from concurrent.futures import ThreadPoolExecutor

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(result)
    with ThreadPoolExecutor(1) as beside:  # a thread can run one loop at a time
        return beside.submit(contextvars.copy_context().run, asyncio.run, result).result()
