"""Generators of random numbers that are the whole process's: whether a direct call has set the state of one."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

_SETTING = {"manual_seed", "seed", "set_rng_state", "set_state", "setstate"}
"""What sets a state; code that names none of these only draws."""

_READING = {"random": "getstate", "numpy.random": "get_state", "torch": "get_rng_state"}
"""What gives the state of each."""


def states(names: Collection[str]) -> dict[str, Any]:
    """Return the states of the generators that a call may set, by their modules; nothing where it sets none.

    Parameters
    ----------
    names : collection of str
        Those in the code of the call.
    """
    if _SETTING.isdisjoint(names):
        return {}
    return {name: _state(name) for name in _READING if name in sys.modules}


def tell_set(label: str, before: dict[str, Any], stacklevel: int) -> None:
    """Warn once that a call has set the state of generators from which its program draws, too.

    Parameters
    ----------
    label : str
        The function.
    before : dict
        What `states` gave before the call.
    stacklevel : int
        As for :func:`warnings.warn`, counted from the caller.
    """
    found = [name for name, state in before.items() if _state(name) != state]
    if not found:
        return
    from offload.effects.warnings import tell_effect

    tell_effect(
        label,
        ("seed", *found),
        f"it set the state of {' and '.join(found)}, which happens only when it is computed, not when it is recalled: "
        "what the program draws later differs; draw from a generator of the call's own, as random.Random(seed) or "
        "numpy.random.default_rng(seed)",
        stacklevel + 1,
    )


def _state(name: str) -> list[Any]:
    state = getattr(sys.modules[name], _READING[name])()
    return [part.tolist() if hasattr(part, "tolist") else part for part in state]
