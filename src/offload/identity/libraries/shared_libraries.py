"""Shared libraries that are called by ctypes: they count by their files, and by what was said of their functions."""

from __future__ import annotations

import ctypes
import os

from offload.errors import DecodeError, EncodeError
from offload.identity.files import File, file_checksum
from offload.identity.libraries.extension_modules import check, linked
from offload.identity.values.objects import register

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_OWN = ("_FuncPtr", "_handle", "_name")
_SYSTEM = ("/lib", "/usr/lib", "/usr/libexec")  # they count as little as the rest of the machine does
_Function: Any = vars(ctypes)["_CFuncPtr"]


def install(package: str) -> None:
    """Register the encodings of libraries, and of functions that were taken from them."""
    for cls in (ctypes.CDLL, ctypes.PyDLL):
        register(cls, encode=_library, decode=_refuse, name=f"ctypes.{cls.__name__}")
    register(_Function, encode=_function, decode=_refuse, name="ctypes function")


def _library(library: Any) -> list[object]:
    """Return what counts of a library: functions of which nothing was said come and go as they are called."""
    said = {name: _said(value, library) for name, value in vars(library).items() if name not in _OWN}
    kept = [[name, what] for name, what in sorted(said.items()) if what is not None]
    return [_content(library), library._FuncPtr._flags_, library._func_restype_, kept]


def _said(value: Any, library: Any) -> object:
    """Return what was said of a function, or None."""
    if not isinstance(value, _Function):
        return ["value", value]
    said = [value.restype, value.argtypes, value.errcheck]
    return None if said == [library._func_restype_, None, None] else [value.__name__, *said]


def _function(function: Any) -> list[object]:
    libraries = [one for one in (function._objects or {}).values() if isinstance(one, ctypes.CDLL)]
    if len(libraries) != 1:
        raise EncodeError("a function of ctypes that comes from no library has no identity", "call it by its library")
    return [libraries[0], function.__name__, function.restype, function.argtypes, function.errcheck]


def _content(library: Any) -> list[object]:
    path = _path(library)
    if not path or path.startswith(tuple(f"{place}{os.sep}" for place in _SYSTEM)):
        return ["system", os.path.basename(path)]
    check(os.path.basename(path), path)
    return ["file", File(path).checksum(), *linked(path, file_checksum)]


def _path(library: Any) -> str:
    """Return the file of a library; an empty text for the program itself."""
    if library._name is None:
        return ""
    if os.uname().sysname == "Linux":  # a handle points to the base address and the name
        name = ctypes.string_at(ctypes.cast(library._handle, ctypes.POINTER(ctypes.c_void_p))[1] or b"")
        return str(os.path.realpath(os.fsdecode(name)))
    if os.path.isfile(library._name):
        return str(os.path.realpath(library._name))
    raise EncodeError(
        f"it is not to be seen which file the library {library._name} is", "load it by the path of its file"
    )


def _refuse(parts: Any) -> Any:
    raise DecodeError("a library of ctypes belongs to its process", "load it where it is used")
