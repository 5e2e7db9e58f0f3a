"""Parquet files read with care: a small one may stand for more than there is memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import IO, Any

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

CELL = 8  # bytes, at least, of a number or a text
SHARE = 0.5  # of the memory that is free


def read_parquet(file: IO[bytes], **options: Any) -> pa.Table:
    """A table that fits into half of the memory that is free.

    Args:
        file: open, in binary.
        options: of ``pyarrow.parquet.read_table``.
    Raises:
        ValueError: it does not fit, or is damaged.
    """
    try:
        return _read(file, options)
    except (pa.ArrowException, OSError, MemoryError) as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


def _read(file: IO[bytes], options: Mapping[str, Any]) -> pa.Table:
    parts = pq.read_metadata(file)
    _check_room(CELL * parts.num_rows * parts.num_columns, _chunk_bytes(parts))
    texts = [field.name for field in pq.read_schema(file) if field.type == pa.string()]
    table = pq.read_table(file, read_dictionary=texts, **options)
    _check_room(*map(_text_bytes, table.columns))
    table = table.cast(pa.schema([field.with_type(_plain(field.type)) for field in table.schema]))
    table.validate(full=True)  # that texts are UTF-8, which nothing else looks at
    return table


def _chunk_bytes(parts: Any) -> int:
    """What the file says that its columns take once they are unpacked."""
    groups = [parts.row_group(number) for number in range(parts.num_row_groups)]
    return sum(
        max(0, group.column(place).total_uncompressed_size)
        for group in groups
        for place in range(group.num_columns)
    )


def _check_room(*sizes: int) -> None:
    most = int(SHARE * psutil.virtual_memory().available)
    if sum(sizes) > most:
        raise ValueError(
            f"it takes {sum(sizes):,} bytes, of which at most {most:,} are free for it"
        )


def _text_bytes(column: pa.ChunkedArray) -> int:
    """What a column of texts takes when each is written out."""
    return sum(_written_out(chunk) for chunk in _chunks(column))


def _chunks(column: pa.ChunkedArray) -> Iterable[pa.DictionaryArray]:
    return [one for one in column.chunks if isinstance(one, pa.DictionaryArray)]


def _written_out(chunk: pa.DictionaryArray) -> int:
    if chunk.dictionary.type != pa.string():
        return 0
    lengths = pc.call_function("binary_length", [chunk.dictionary]).cast(pa.int64())
    return int(lengths.take(chunk.indices.drop_null()).to_numpy(zero_copy_only=False).sum())


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.string() if kind == pa.dictionary(pa.int32(), pa.string()) else kind
