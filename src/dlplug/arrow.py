"""Tables in Parquet, and data sets as Hugging Face's ``save_to_disk`` leaves them."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

MISSING = "Parquet and data sets of Arrow are read by pyarrow, which is not installed: pip install 'dlplug[arrow]'"
ROWS = 10_000  # of a Parquet file at once


def read_arrow(path: Path, wanted: Collection[str]) -> Iterator[list[Any]]:
    """Yield the names of a table's columns, then the values of each row.

    A column of records is a column for each of their fields, such as ``translation.en``. Of classes that the data set
    has names for, these are the values.

    Args:
        path: A Parquet file, or a folder that ``datasets.Dataset.save_to_disk`` wrote.
        wanted: The columns that are needed; the others are not read unless one of these is not there.

    Raises:
        ValueError: pyarrow is not installed, or it is no such file or folder.
    """
    try:
        import pyarrow  # an extra
    except ImportError as error:
        raise ValueError(f"cannot read {path}: {MISSING}") from error
    try:
        schema, batches = _open(path, wanted)
        names = schema.empty_table().flatten().column_names
        yield names
        classes = _class_names(schema.metadata or {})
        for batch in batches:
            table = pyarrow.Table.from_batches([batch]).flatten()
            columns = [table[name].to_pylist() if name in table.column_names else [None] * len(table) for name in names]
            for name, labels in classes.items():
                if name in names:
                    place = names.index(name)
                    columns[place] = [None if v is None or v < 0 else labels[v] for v in columns[place]]
            yield from map(list, zip(*columns, strict=True))
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"cannot read {path}: {str(error).splitlines()[0]}") from error


def _open(path: Path, wanted: Collection[str]) -> tuple[Any, Iterator[Any]]:
    """Return the schema, and the rows in parts, of which columns that are not wanted may be missing."""
    import pyarrow
    from pyarrow import ipc, parquet

    if not path.is_dir():
        file = parquet.ParquetFile(path)
        needed = [name for name in file.schema_arrow.names if name in {each.partition(".")[0] for each in wanted}]
        return file.schema_arrow, file.iter_batches(ROWS, columns=needed or None)
    parts = [each["filename"] for each in json.loads((path / "state.json").read_bytes())["_data_files"]]
    readers = [ipc.open_stream(pyarrow.memory_map(str(path / part))) for part in parts]
    return readers[0].schema, (batch for reader in readers for batch in reader)


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    kinds = {name: kind for name, kind in features.items() if isinstance(kind, dict)}
    return {name: kind["names"] for name, kind in kinds.items() if kind.get("_type") == "ClassLabel"}
