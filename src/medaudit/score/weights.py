"""Weights of images that a user gives, e.g. the inverse of a sampling fraction."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from medaudit.adapt.predictions.columns import Columns
from medaudit.adapt.predictions.shaping import TidyPredictions
from medaudit.core.errors import MedauditError
from medaudit.core.intersections import join_names
from medaudit.data.readers.sheet import Sheet, as_numbers


def add_weights(
    cohort: pd.DataFrame,
    sheet: Sheet,
    columns: Columns,
    tidied: TidyPredictions,
    attributes: Sequence[str | list[str]],
) -> pd.DataFrame:
    """Return the cohort with the weight of each image for every attribute and task.

    Parameters
    ----------
    cohort : pandas.DataFrame
        One row per image.
    sheet : Sheet
        The file of predictions.
    columns : Columns
        Its columns; without a role ``weight`` the cohort is returned as it is.
    tidied : TidyPredictions
        Says which rows of the file belong to which image.
    attributes : sequence
        Names, or lists of names for intersections.

    Raises
    ------
    MedauditError
        A weight is missing, negative or infinite, differs between rows of an image, or all are 0.
    """
    name = columns.roles.get("weight")
    if name is None:
        return cohort
    values = as_numbers(sheet.frame[name], f"the weight {name}", sheet.where)
    _check(values, name, sheet.where)
    rows = tidied.frame[["image_id", "row"]].drop_duplicates()
    weight = values.iloc[rows["row"]].groupby(rows["image_id"].to_numpy())
    if (weight.nunique() > 1).any():
        first = weight.nunique().idxmax()
        raise MedauditError(
            f"{sheet.where}: {name} differs between rows of one image, e.g. {first!r}; give each "
            "image one weight"
        )
    own = weight.first().reindex(cohort["image_id"]).to_numpy(float)
    tasks = [*tidied.frame["task"].unique(), "all"]
    names = ["all", *map(join_names, attributes)]
    return cohort.assign(**{f"w_{a}_{task}": own for a in names for task in tasks})


def _check(values: pd.Series, name: str, where: str) -> None:
    for bad, what in (
        (values.isna(), "missing"),
        (np.isinf(values), "infinite"),
        (values < 0, "negative"),
    ):
        if bad.any():
            raise MedauditError(
                f"{where}: {int(bad.sum())} of {len(values)} weights in {name} are {what}; the "
                f"first is in row {int(bad.to_numpy().argmax()) + 1}. Weights are numbers of at "
                "least 0"
            )
    if not (values > 0).any():
        raise MedauditError(f"{where}: all weights in {name} are 0, so nothing is left to audit")
