"""NumPy arrays: by data type, shape and content, whatever their strides."""

from __future__ import annotations

import numpy as np

from offload.identity.encoding import Raw
from offload.identity.objects import register

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def install(package: str) -> None:
    """Register the encoding of arrays; NumPy's scalars and data types are encoded by their parts."""
    register(np.ndarray, encode=_state, decode=_array, name="numpy.ndarray")


def _state(array: np.ndarray[Any, Any]) -> object:
    simple = array.dtype.names is None and array.dtype.subdtype is None and array.dtype.metadata is None
    dtype = array.dtype.str if simple else array.dtype
    if array.dtype.hasobject:
        return [dtype, list(array.shape), array.ravel().tolist()]
    contents = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return [dtype, list(array.shape), Raw(contents.data)]


def _array(state: Any) -> np.ndarray[Any, Any]:
    dtype, shape, contents = np.dtype(state[0]), tuple(state[1]), state[2]
    if isinstance(contents, bytes):
        return np.frombuffer(bytearray(contents), dtype).reshape(shape)
    array: np.ndarray[Any, Any] = np.empty(len(contents), dtype)
    for index, item in enumerate(contents):
        array[index] = item
    return array.reshape(shape)
