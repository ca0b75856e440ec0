"""Tables: pandas by their columns and indexes, Arrow by its IPC format, both without regard to how memory is cut."""

from __future__ import annotations

from offload.identity.objects import register

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def install(package: str) -> None:
    """Register the encodings of a package's tables; polars says itself what its frames are made of."""
    if package == "pandas":
        _install_pandas()
    elif package == "pyarrow":
        _install_arrow()


def _install_pandas() -> None:
    import pandas as pd

    def frame(state: Any) -> pd.DataFrame:
        arrays, columns, index, attributes = state
        made = pd.DataFrame(dict(enumerate(arrays)), index=index)
        made.columns = columns
        made.attrs.update(attributes)
        return made

    def series(state: Any) -> pd.Series[Any]:
        array, index, name, attributes = state
        made = pd.Series(array, index=index, name=name)
        made.attrs.update(attributes)
        return made

    register(
        pd.DataFrame,
        encode=lambda f: [[f.iloc[:, i].array for i in range(f.shape[1])], f.columns, f.index, f.attrs],
        decode=frame,
        name="pandas.DataFrame",
    )
    register(pd.Series, encode=lambda s: [s.array, s.index, s.name, s.attrs], decode=series, name="pandas.Series")


def _install_arrow() -> None:
    import pyarrow as pa

    def written(table: pa.Table) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            # One batch, however many chunks there were: the cuts are not part of the value.
            for batch in table.combine_chunks().to_batches():
                writer.write_batch(batch)
        return bytes(sink.getvalue())

    def read(data: bytes) -> pa.Table:
        return pa.ipc.open_stream(data).read_all()

    def batch(data: bytes) -> pa.RecordBatch:
        table = read(data)
        batches = table.to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)

    def column(array: Any) -> bytes:
        return written(pa.table({"": array}))

    register(pa.Table, encode=written, decode=read, name="pyarrow.Table")
    register(
        pa.RecordBatch, encode=lambda b: written(pa.Table.from_batches([b])), decode=batch, name="pyarrow.RecordBatch"
    )
    register(pa.ChunkedArray, encode=column, decode=lambda d: read(d).column(0), name="pyarrow.ChunkedArray")
