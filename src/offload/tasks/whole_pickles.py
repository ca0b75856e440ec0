"""Results that are pickled as a whole, because parts of them stand in several places."""

from __future__ import annotations

import contextlib
import io
import pickle
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from offload.errors import EncodeError, IdentityError
from offload.identity.files import File
from offload.identity.functions.holders import made_by_another_name
from offload.identity.functions.identify import closure
from offload.identity.libraries.distributions import PROJECT, origin
from offload.identity.references import Names, find, reference_name
from offload.identity.values.hidden_state import whole
from offload.identity.values.objects import by_value, located, name_of, reduced, standing_or_made
from offload.identity.values.pickled_code import CodePickler


def dumps(value: object, names: Names | None = None) -> tuple[bytes, bool]:
    """Return a pickled value; what its reducers leave out is in it, and code that is not to be found by its name.

    The second is whether a class of a library sets its own state, which it may alter.

    Objects that `names` knows come back as the globals that have these names, where they are the same.
    """
    with io.BytesIO() as file:
        pickler = _Pickler(file, protocol=5)
        pickler.names, pickler.standing = names, set()
        try:
            pickler.dump(value)
        except (RecursionError, pickle.PicklingError):
            if names is None:
                raise
            return dumps(value)  # a global that leads back to itself
        return file.getvalue(), pickler.altered


class _Pickler(CodePickler):
    """Pickles the project's classes and functions so that those that are there when it is loaded are taken."""

    names: Names | None = None
    altered = False
    standing: set[int]

    def reducer_override(self, value: Any) -> Any:
        """Return the parts of a value, as :mod:`pickle` asks for them."""
        if isinstance(value, (type, FunctionType, BuiltinFunctionType, ModuleType)):
            name, module = reference_name(value)
            if (parts := made_by_another_name(value)) is not None:
                return parts
            own = not isinstance(value, (BuiltinFunctionType, ModuleType)) and origin(module) == PROJECT
            if own and (module == "__main__" or find(name, load=False) is not value):
                with contextlib.suppress(IdentityError):  # then it goes by value, and comes back as another
                    return located, (name, closure(value).checksum, by_value(value))
            return super().reducer_override(value)
        if isinstance(value, File):
            raise EncodeError("a File is not a result")
        if isinstance(getattr(type(value), "__setstate__", None), FunctionType):
            self.altered = self.altered or origin(type(value).__module__) != PROJECT
        if (global_name := name_of(self.names, value)) is not None:
            if id(value) in self.standing:  # met again before it was done
                raise pickle.PicklingError(f"{global_name} contains itself")
            self.standing.add(id(value))
            return standing_or_made, (global_name, reduced(value))
        parts = whole(value)
        return super().reducer_override(value) if parts is None else parts
