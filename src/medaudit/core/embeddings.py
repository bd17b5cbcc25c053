"""Reading and writing tables of embeddings, one vector per image."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from medaudit.core.errors import MedauditError
from medaudit.core.table_io import EMBEDDINGS, write_table


def write_embeddings(ids: np.ndarray, vectors: np.ndarray, path: Path, **metadata: object) -> None:
    """Write embeddings ``[n, d]`` from NumPy to Arrow, without a Python object per number."""
    offsets = np.arange(len(vectors) + 1, dtype=np.int32) * vectors.shape[1]
    lists = pa.ListArray.from_arrays(offsets, pa.array(vectors.reshape(-1)))
    frame = pd.DataFrame({"image_id": ids, "embedding": pd.arrays.ArrowExtensionArray(lists)})
    write_table(frame, path, EMBEDDINGS, **metadata)


def read_embeddings(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the embeddings that `embed` wrote.

    Returns
    -------
    ids : numpy.ndarray
        Image ids, text, ``[n]``.
    vectors : numpy.ndarray
        float32 ``[n, d]``; read-only where it is a view of the file's memory.

    Raises
    ------
    MedauditError
        The file is not such a table, vectors differ in length, or an image id is duplicate.
    """
    try:
        table = pq.read_table(path, columns=["image_id", "embedding"]).combine_chunks()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise MedauditError(f"cannot read the embeddings {path}: {error}") from error
    ids = table["image_id"].to_numpy()
    lists = pa.concat_arrays(table["embedding"].chunks)
    lengths = np.unique(lists.value_lengths().to_numpy(zero_copy_only=False))
    if len(lengths) != 1 or len(np.unique(ids)) != len(ids):
        raise MedauditError(
            f"{path} must have one vector per image, all of the same length; it has lengths "
            f"{lengths[:5].tolist()} and {len(ids) - len(np.unique(ids))} duplicate image ids: "
            "delete the file and run again"
        )
    return ids, lists.flatten().to_numpy().reshape(len(ids), -1)
