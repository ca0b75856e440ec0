"""Tables: pandas by their columns and indexes, Arrow and polars by Arrow's IPC format, however memory is cut."""

from __future__ import annotations

from offload.identity.values.objects import rebuild, register

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# What an array of pandas, or its type, notes about itself while it is used.
_NOTES = {"_cache", "_readonly"}


def install(package: str) -> None:
    """Register the encodings of a package's tables."""
    {"pandas": _install_pandas, "pyarrow": _install_arrow, "polars": _install_polars}[package]()


def _subclasses(cls: type) -> Iterator[type]:
    children: list[type] = cls.__subclasses__()
    for sub in children:
        yield sub
        yield from _subclasses(sub)


def _install_pandas() -> None:
    import pandas as pd

    known = {cls: {*vars(cls()), *cls._internal_names, "_typ"} for cls in (pd.DataFrame, pd.Series)}

    def more(table: Any) -> list[object]:
        """Return what is seldom there: that labels must not be repeated, and attributes that were assigned."""
        rest = {name: part for name, part in sorted(vars(table).items()) if name not in known[type(table)]}
        unique = not table.flags.allows_duplicate_labels
        return [[unique, rest]] if unique or rest else []

    def complete(table: Any, attributes: Any, rest: Any) -> Any:
        table.attrs.update(attributes)
        for unique, others in rest:
            table.flags.allows_duplicate_labels = not unique
            vars(table).update(others)
        return table

    def frame(state: Any) -> Any:
        arrays, columns, index, attributes, *rest = state
        made = pd.DataFrame(dict(enumerate(arrays)), index=index)
        made.columns = columns
        return complete(made, attributes, rest)

    def series(state: Any) -> Any:
        array, index, name, attributes, *rest = state
        return complete(pd.Series(array, index=index, name=name), attributes, rest)

    register(
        pd.DataFrame,
        encode=lambda f: [[f.iloc[:, i].array for i in range(f.shape[1])], f.columns, f.index, f.attrs, *more(f)],
        decode=frame,
        name="pandas.DataFrame",
    )
    register(
        pd.Series, encode=lambda s: [s.array, s.index, s.name, s.attrs, *more(s)], decode=series, name="pandas.Series"
    )
    for base in (pd.api.extensions.ExtensionArray, pd.api.extensions.ExtensionDtype):
        for cls in _subclasses(base):
            if cls.__module__.partition(".")[0] == "pandas":
                register(cls, encode=_parts, decode=_made, name=f"pandas.{cls.__name__}")


def _parts(array: Any) -> list[object]:
    """Return what an array or its type is made of, without its notes."""
    function, arguments, state = (*array.__reduce_ex__(4), None)[:3]
    if state is None:
        return [function, arguments, None]
    if isinstance(state, dict):
        return [function, arguments, _without_notes(state) or None]
    # The array and its type, then a dict of notes where there are any.
    parts = (_without_notes(part) if isinstance(part, dict) else part for part in state)
    return [function, arguments, tuple(part for part in parts if not isinstance(part, dict) or part)]


def _made(parts: Any) -> Any:
    """Return an array or its type, of its parts."""
    function, arguments, state = parts
    if isinstance(state, tuple) and len(state) == 2:
        state = (*state, {})  # pandas before version 3 asks for the notes, also where there are none
    return rebuild(function, arguments, state)


def _without_notes(state: dict[str, Any]) -> dict[str, Any]:
    # A slice says that it has no frequency, a new array says nothing.
    return {name: part for name, part in state.items() if name not in _NOTES and (name, part) != ("_freq", None)}


def _written(table: Any) -> bytes:
    """Return a table as an Arrow stream that depends on its values only."""
    import pyarrow as pa

    table = pa.table([_plain(column) for column in table.columns], schema=table.schema)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        # One batch, however many chunks there were: the cuts are not part of the value.
        for batch in table.combine_chunks().to_batches():
            writer.write_batch(batch)
    return bytes(sink.getvalue())


def _plain(column: Any) -> Any:
    """Return a column without what memory happens to hold below its nulls and behind its last bit."""
    import pyarrow as pa

    kind = column.type
    solid = pa.types.is_primitive(kind) and not pa.types.is_boolean(kind)
    if column.null_count == 0 and (solid or pa.types.is_large_string(kind) or pa.types.is_string(kind)):
        return column
    return column.take(pa.array(range(len(column)), pa.int64()))


def _read(data: bytes) -> Any:
    import pyarrow as pa

    return pa.ipc.open_stream(data).read_all()


def _install_arrow() -> None:
    import pyarrow as pa

    def batch(data: bytes) -> pa.RecordBatch:
        table = _read(data)
        batches = table.to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)

    def column(values: Any) -> bytes:
        return _written(pa.table({"": values}))

    def array(data: bytes) -> Any:
        return _read(data).column(0).combine_chunks()

    register(pa.Table, encode=_written, decode=_read, name="pyarrow.Table")
    register(
        pa.RecordBatch, encode=lambda b: _written(pa.Table.from_batches([b])), decode=batch, name="pyarrow.RecordBatch"
    )
    register(pa.ChunkedArray, encode=column, decode=lambda d: _read(d).column(0), name="pyarrow.ChunkedArray")
    for cls in _subclasses(pa.Array):
        register(cls, encode=column, decode=array, name=f"pyarrow.{cls.__name__}")


def _install_polars() -> None:
    import polars as pl

    def parts(frame: Any) -> list[object]:
        try:
            arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        except pl.exceptions.PolarsError as exc:
            raise TypeError(f"polars cannot give it to Arrow: {exc}") from exc
        return [list(frame.schema.items()), _written(arrow)]

    def frame(parts: Any) -> Any:
        schema, data = parts
        return pl.DataFrame(_read(data)).cast(dict(schema))

    def series(parts: Any) -> Any:
        found = frame(parts).to_series()
        return found.rename(parts[0][0][0])  # one without a name gets one in a frame

    register(pl.DataFrame, encode=parts, decode=frame, name="polars.DataFrame")
    register(pl.Series, encode=lambda s: parts(s.to_frame()), decode=series, name="polars.Series")
