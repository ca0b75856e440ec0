"""What counts of Django's settings and of the parts of its models, which load and remember much as they are used.

That differs from process to process. What is declared does not: settings by their values, models by their fields,
options and managers, all in their order.
"""

from __future__ import annotations

from offload.identity.inspection import attributes
from offload.identity.values.computed_attributes import fills

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Where the classes of these parts lie. Classes of the project are made from them.
_PARTS = ("django.db.models.fields", "django.db.models.manager", "django.db.models.options")
# All models of all apps; numbers that say which one was made first in this process; what was asked for.
_REMEMBERED = {"apps", "creation_counter", "_get_fields_cache"}


def is_settings(value: object) -> bool:
    """Tell whether a value is ``django.conf.settings``."""
    cls = type(value)
    return (cls.__module__, cls.__qualname__) == ("django.conf", "LazySettings")


def loaded(settings: Any) -> dict[str, Any]:
    """Return the attributes of the object, under ``_wrapped`` the settings themselves, if they can be loaded here."""
    if not settings.configured:
        try:
            settings._setup()
        except Exception:  # whatever the user's settings may raise: the call meets the same, and may well catch it
            pass
    return attributes(settings) or {}


def declared(value: object) -> list[object] | None:
    """Return what counts of settings or of a part of a model, or None where a value is neither."""
    cls = type(value)
    if is_settings(value):
        return [cls, attributes(loaded(value).get("_wrapped"))]
    if any(str(base.__module__).startswith(_PARTS) for base in cls.__mro__) and (held := attributes(value)) is not None:
        return [cls, {n: held[n] for n in sorted(held) if n not in _REMEMBERED and not fills(cls, n)}]
    return None
