"""Results that are pickled as a whole, because parts of them stand in several places."""

from __future__ import annotations

import io
from types import FunctionType
from typing import Any

import cloudpickle

from offload.errors import IdentityError
from offload.identity.distributions import PROJECT, origin
from offload.identity.functions import closure
from offload.identity.leftout import whole
from offload.identity.objects import by_value, located
from offload.identity.references import find, reference_name


def dumps(value: object) -> bytes:
    """Return a pickled value; what its reducers leave out is in it, and code that is not to be found by its name."""
    with io.BytesIO() as file:
        _Pickler(file, protocol=5).dump(value)
        return file.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles the project's classes and functions so that those that are there when it is loaded are taken."""

    def reducer_override(self, value: Any) -> Any:
        """Return the parts of a value, as :mod:`pickle` asks for them."""
        if isinstance(value, (type, FunctionType)):
            name, module = reference_name(value)
            if origin(module) == PROJECT and find(name, load=False) is not value:
                try:
                    return located, (name, closure(value).checksum, by_value(value))
                except IdentityError:
                    pass  # it goes by value, and comes back as another
        elif (parts := whole(value)) is not None:
            return parts
        return super().reducer_override(value)
