"""NumPy arrays and SciPy's sparse ones: by data type, shape and content, whatever their strides and notes.

Results come back in the order of axes in which they lay in memory, and read-only where they were.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from offload.errors import DecodeError
from offload.identity.values.encode import Raw
from offload.identity.values.objects import register, register_layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def install(package: str) -> None:
    """Register the encoding of arrays; NumPy's scalars and data types are encoded by their parts."""
    if package == "numpy":
        register(np.ndarray, encode=_state, decode=_array, name="numpy.ndarray")
        register_layout("numpy.ndarray", _layout, _laid)
    elif package == "numpy.ma":
        register(np.ma.MaskedArray, encode=_masked_parts, decode=_masked, name="numpy.ma.MaskedArray")
    else:
        _install_sparse()


def _state(array: np.ndarray[Any, Any]) -> object:
    dtype = array.dtype
    plain = dtype.names is None and dtype.subdtype is None and dtype.metadata is None and dtype.kind != "T"
    kind = dtype.str if plain else dtype
    if dtype.hasobject or dtype.kind == "T":
        return [kind, list(array.shape), array.ravel().tolist()]
    if not array.nbytes:  # also arrays of empty strings, which cannot be viewed
        return [kind, list(array.shape), b""]
    if not plain:
        array = array.astype(_without_padding(dtype), copy=False)
    contents = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return [kind, list(array.shape), Raw(contents.data)]


def _layout(array: np.ndarray[Any, Any]) -> list[object] | None:
    """Return the order of the axes in memory, None for the usual one, and whether the array can be written."""
    axes = None
    if not array.flags.c_contiguous and array.size:
        order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
        if array.transpose(order).flags.c_contiguous:
            axes = order
    return None if axes is None and array.flags.writeable else [axes, array.flags.writeable]


def _laid(array: np.ndarray[Any, Any], layout: Any) -> np.ndarray[Any, Any]:
    axes, writable = layout
    if axes is not None:
        array = array.transpose(axes).copy(order="C").transpose(np.argsort(axes))
    array.flags.writeable = writable
    return array


def _masked_parts(array: Any) -> list[object]:
    parts: list[object] = [array.data, array.mask, array.fill_value]
    more = {name: part for name, part in sorted(vars(array).items()) if name not in _masked_names()}
    if array.hardmask or more:
        parts.append([bool(array.hardmask), more])
    return parts


def _masked(parts: Any) -> Any:
    data, mask, fill_value, *rest = parts
    array: Any = np.ma.MaskedArray(data, mask=np.ma.nomask if mask is np.False_ else mask, fill_value=fill_value)
    for hard, more in rest:
        (array.harden_mask if hard else array.soften_mask)()
        vars(array).update(more)
    return array


@cache
def _masked_names() -> set[str]:
    return set(vars(np.ma.MaskedArray([0], mask=[True], fill_value=0, hard_mask=True)))


def _without_padding(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a structured type without room between its fields: what lies there is no part of a value."""
    if dtype.names is None:
        return dtype
    from numpy.lib.recfunctions import repack_fields

    packed: np.dtype[Any] = repack_fields(dtype, align=False, recurse=True)
    return dtype if packed.itemsize == dtype.itemsize else packed


def _array(state: Any) -> np.ndarray[Any, Any]:
    dtype, shape, contents = np.dtype(state[0]), tuple(state[1]), state[2]
    if isinstance(contents, memoryview):
        if not contents:
            array: np.ndarray[Any, Any] = np.empty(shape, dtype)
            if array.nbytes:
                raise DecodeError(f"an array of {array.nbytes:,} bytes has no content")
            return array
        packed = _without_padding(dtype)
        return np.frombuffer(contents, packed).reshape(shape).astype(dtype)
    array = np.empty(len(contents), dtype)
    for index, item in enumerate(contents):
        array[index] = item
    return array.reshape(shape)


def _install_sparse() -> None:
    import scipy.sparse

    for form in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil"):
        for kind in ("array", "matrix"):
            cls = getattr(scipy.sparse, f"{form}_{kind}", None)
            if cls is not None:
                register(cls, encode=_sparse_parts, decode=_sparse(cls), name=f"scipy.sparse.{cls.__name__}")


def _sparse_parts(array: Any) -> dict[str, object]:
    # Whether the indices are sorted is noted when somebody asks, and can be found out again.
    return {name: part for name, part in sorted(vars(array).items()) if not name.startswith("_has_")}


def _sparse(cls: Any) -> Any:
    def made(parts: dict[str, object]) -> Any:
        array = cls.__new__(cls)
        vars(array).update(parts)
        return array

    return made
