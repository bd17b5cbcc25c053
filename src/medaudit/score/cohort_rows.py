"""From tidy predictions to the workflow's tables: images, cohort, predictions of each model."""

import numpy as np
import pandas as pd

from medaudit.adapt.predictions.columns import Columns
from medaudit.core.errors import MedauditError
from medaudit.core.intersections import SEPARATOR
from medaudit.core.table_io import PREDICTIONS
from medaudit.data.readers.sheet import Sheet

_RUN = ["model", "method"]


def images_of(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return one row per image: id, patient, split and its first row in the file."""
    images = frame[["image_id", "patient_id", "split"]].drop_duplicates()
    duplicate = images["image_id"].duplicated()
    if duplicate.any():
        raise MedauditError(
            f"{where}: {int(duplicate.sum())} image ids have more than one patient or split, e.g. "
            f"{images.loc[duplicate, 'image_id'].iloc[0]!r}; give each image one of each, or name "
            "another id column with --id"
        )
    first = frame[["image_id", "row"]].drop_duplicates("image_id")
    return images.assign(row=first["row"]).reset_index(drop=True)


def remaining(sheet: Sheet, found: Columns, frame: pd.DataFrame) -> Sheet:
    """Return the columns that have no role and the same value in all rows of an image."""
    rest = sheet.frame.drop(columns=[name for name in found.taken if name in sheet.frame])
    rows = frame.drop_duplicates("row").set_index("row")["image_id"].reindex(rest.index)
    if rows.is_unique:
        return Sheet(rest, sheet.where)
    varying = [c for c in rest if (rest[c].groupby(rows).nunique() > 1).any()]
    notes = [f"not used as groups, since they differ within an image: {', '.join(varying)}"]
    return Sheet(rest.drop(columns=varying), sheet.where, notes if varying else [])


def first_rows(source: Sheet, images: pd.DataFrame) -> pd.DataFrame:
    """Return the first row of each image."""
    return source.frame.iloc[images["row"]].reset_index(drop=True)


def cohort_of(frame: pd.DataFrame, images: pd.DataFrame, attributes: pd.DataFrame) -> pd.DataFrame:
    """Return the cohort (columns of `medaudit.core.table_io.COHORT`)."""
    labels = _labels(frame, images)
    return pd.concat(
        [
            images[["image_id", "patient_id"]].assign(path=images["image_id"]),
            attributes[["age"]].assign(view=pd.Series(None, dtype="str")),
            images[["split"]],
            pd.DataFrame({f"y_{task}": values for task, values in labels.items()}),
            attributes.drop(columns="age"),
        ],
        axis=1,
    )


def _labels(frame: pd.DataFrame, images: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the labels of each task in the order of `images`; models and seeds must agree."""
    place = pd.Index(images["image_id"]).get_indexer(frame["image_id"])
    y, found = frame["y"].to_numpy(), {}
    # Writing y to its place keeps the last label of an image; reading it back finds the others.
    for task, rows in frame.groupby("task", sort=False).indices.items():
        labels = np.full(len(images), np.nan)
        labels[place[rows]] = y[rows]
        differ = labels[place[rows]] != y[rows]
        differ &= ~(np.isnan(labels[place[rows]]) & np.isnan(y[rows]))
        found[str(task)] = labels
        if differ.any():
            first = frame["image_id"].iloc[rows[differ][0]]
            raise MedauditError(
                f"labels of {task} differ between models or seeds for {int(differ.sum())} rows, "
                f"e.g. image {first!r}; give each image one label"
            )
    return found


def by_model(
    frame: pd.DataFrame, where: str, columns: Columns
) -> dict[tuple[str, str], pd.DataFrame]:
    """Return the predictions of each model and method; each has every image, task and seed."""
    found = {(str(m), str(k)): rows for (m, k), rows in frame.groupby(_RUN, sort=False)}
    everyone = frame["image_id"].nunique()
    for run, rows in found.items():
        expected = everyone * frame["task"].nunique() * rows["seed"].nunique()
        if len(rows) != expected:
            raise MedauditError(
                f"{where}: model {' / '.join(run)} has {len(rows)} of {expected} scores (images "
                "x tasks x seeds), but models are compared on the same images; add the missing "
                f"scores, or audit the model in a file of its own{_refusable(columns)}"
            )
    names = list(PREDICTIONS.columns)
    kept = {key: rows[rows["split"] != "train"] for key, rows in found.items()}
    return {key: rows[names].reset_index(drop=True) for key, rows in kept.items()}


def _refusable(columns: Columns) -> str:
    named = {role: columns.roles.get(role) for role in ("task", "model", "method", "seed")}
    texts = [f"{column} was taken for the {role}" for role, column in named.items() if column]
    names = " ".join(column for column in named.values() if column)
    return f" ({', '.join(texts)}; if not: --not-a-role {names})" if texts else ""


def with_counts(attributes: pd.DataFrame, names: list[str | list[str]]) -> list[str]:
    """Return the attributes, single ones with the number of images in each group."""
    single = [name for name in names if isinstance(name, str)]
    levels = {name: attributes[f"a_{name}"].value_counts() for name in single}
    texts = [
        f"{name} (" + ", ".join(f"{level} {n}" for level, n in counts.items()) + ")"
        for name, counts in levels.items()
    ]
    return texts + [SEPARATOR.join(name) for name in names if not isinstance(name, str)]
