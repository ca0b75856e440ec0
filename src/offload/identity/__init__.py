"""What makes two computations the same: checksums, canonical values, functions, commands.

This package can be called, too: ``offload.identity(f)`` shows what a function is identified by. It is the package and
the function in one, whichever of the two is asked for first.
"""

from __future__ import annotations

import sys
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from offload.identity.report import Identity


class _Package(ModuleType):
    def __call__(self, subject: Callable[..., Any]) -> Identity:
        """Show what a function is identified by; see :func:`offload.identity.report.identity`."""
        from offload.identity.report import identity as show

        return show(subject)


identity = sys.modules[__name__]  # what `offload.identity` is, whether the package was imported before or not
identity.__class__ = _Package
