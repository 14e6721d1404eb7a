"""Tables as files, batch by batch: Parquet, and CSV that is safe to open in a spreadsheet."""

from __future__ import annotations

from typing import IO, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from swaptrace.report.cells import safe

_ROWS = 1 << 18  # of a row group: with fewer, readers have more to do


class TableWriter(Protocol):
    """Writes one table."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""

    def close(self) -> None:
        """All rows are there. The file stays open."""


class ParquetWriter:
    """A Parquet file (zstd). Names of columns, units and sentences are in its Arrow schema."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        self._schema = schema
        # of whole numbers, too many differ for dictionaries to be worth while
        texts = [field.name for field in schema if _is_text(field.type)]
        self._writer = pyarrow.parquet.ParquetWriter(file, schema, compression="zstd", use_dictionary=texts)
        self._pending: list[pa.RecordBatch] = []
        self._rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._pending.append(batch)
        self._rows += batch.num_rows
        if self._rows >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            # batches have dictionaries of their own, a row group has one
            table = pa.Table.from_batches(
                [batch.replace_schema_metadata(self._schema.metadata) for batch in self._pending]
            )
            self._writer.write_table(table.unify_dictionaries().combine_chunks(), row_group_size=self._rows)
        self._pending, self._rows = [], 0

    def close(self) -> None:
        self._flush()
        self._writer.close()


class CsvWriter:
    """A CSV file. What is null is an empty cell; names that a spreadsheet would take for formulas begin with an
    apostrophe, and control characters are written as `\\x1b`.
    """

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        fields = [field.with_type(pa.utf8()) if _is_text(field.type) else field for field in schema]
        self._schema = pa.schema(fields)
        self._writer = pyarrow.csv.CSVWriter(file, self._schema)

    def write(self, batch: pa.RecordBatch) -> None:
        columns = [_safe(column) if _is_text(column.type) else column for column in batch.columns]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


#: By the names that --to takes, which are the files' suffixes, too.
FORMATS: dict[str, type[ParquetWriter] | type[CsvWriter]] = {"parquet": ParquetWriter, "csv": CsvWriter}


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(kind) or pa.types.is_string(kind))


def _safe(column: pa.Array) -> pa.Array:
    """Texts without what is more than text to a spreadsheet or a terminal; each different one is looked at once."""
    coded = column if isinstance(column, pa.DictionaryArray) else column.dictionary_encode()
    harmless = pa.array([safe(text) for text in coded.dictionary.to_pylist()], pa.utf8())
    return pc.take(harmless, coded.indices)
