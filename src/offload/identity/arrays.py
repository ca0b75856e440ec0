"""NumPy arrays and SciPy's sparse ones: by data type, shape and content, whatever their strides and notes."""

from __future__ import annotations

import numpy as np

from offload.identity.encoding import Raw
from offload.identity.objects import register

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def install(package: str) -> None:
    """Register the encoding of arrays; NumPy's scalars and data types are encoded by their parts."""
    if package == "numpy":
        register(np.ndarray, encode=_state, decode=_array, name="numpy.ndarray")
    elif package == "numpy.ma":
        register(
            np.ma.MaskedArray,
            encode=lambda a: [a.data, a.mask, a.fill_value],
            decode=lambda s: np.ma.MaskedArray(s[0], mask=s[1], fill_value=s[2]),
            name="numpy.ma.MaskedArray",
        )
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


def _without_padding(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a structured type without room between its fields: what lies there is no part of a value."""
    if dtype.names is None:
        return dtype
    from numpy.lib.recfunctions import repack_fields

    packed: np.dtype[Any] = repack_fields(dtype, align=False, recurse=True)
    return dtype if packed.itemsize == dtype.itemsize else packed


def _array(state: Any) -> np.ndarray[Any, Any]:
    dtype, shape, contents = np.dtype(state[0]), tuple(state[1]), state[2]
    if isinstance(contents, bytes):
        if not contents:
            return np.empty(shape, dtype)
        packed = _without_padding(dtype)
        return np.frombuffer(bytearray(contents), packed).reshape(shape).astype(dtype, copy=False)
    array: np.ndarray[Any, Any] = np.empty(len(contents), dtype)
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
