"""Figures of pyplot that were open before a call: what draws into the current one depends on it, and changes it."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_HELPERS = "matplotlib._pylab_helpers"
_ASKED = ("get_active", "set_active", "destroy_all")


def opened() -> list[Any]:
    """Return the figures that are open now, as pyplot keeps them."""
    helpers = sys.modules.get(_HELPERS)
    return list(helpers.Gcf.figs.values()) if helpers is not None and hasattr(helpers, "Gcf") else []


def listen(tell: Callable[[Any], None]) -> None:
    """Have it told from now on when a figure is taken up that is open, as the current one or by its number.

    Parameters
    ----------
    tell : callable
        Takes the figure; it is asked whose that is.
    """
    keeper = sys.modules[_HELPERS].Gcf
    if hasattr(keeper.get_active, "told"):
        return
    for name in _ASKED:
        setattr(keeper, name, classmethod(_told(getattr(keeper, name), tell)))


def _told(asked: Callable[..., Any], tell: Callable[[Any], None]) -> Callable[..., Any]:
    def ask(keeper: Any, *figure: Any) -> Any:
        every = opened() if asked.__name__ == "destroy_all" else figure
        found = asked(*figure)
        for one in every or [found]:
            if one is not None:
                tell(one)
        return found

    ask.told = True  # type: ignore[attr-defined]
    return ask
