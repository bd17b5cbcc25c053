"""Columns that are an outcome of each case: measures such as Dice, grades, numbers, refusals."""

import re

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.data.readers.sheet import Sheet, as_numbers
from medaudit.metrics.outcome_metrics import KAPPA, MEAN, Outcome, mean_of, moments_of

TASK = "cases"
SHARES = "dice dsc iou jaccard nsd surface_dice f1 ssim overlap precision recall sensitivity"
RISING = f"{SHARES} psnr snr accuracy score"
FALLING = "hd hd95 hausdorff assd asd msd mae mse rmse error err loss distance dist time difference"
MOST_GRADES = 20
"""More distinct true values than this are no grades."""


def measures(sheet: Sheet, names: list[str], better: dict[str, int], notes: list[str]) -> list:
    """Return the means of columns that measure each case.

    Parameters
    ----------
    sheet : Sheet
        The file.
    names : list of str
        Columns.
    better : dict
        1 or -1 for columns whose name does not say which end is better.
    notes : list of str
        Notes for the user are added to it.

    Raises
    ------
    MedauditError
        A column does not exist, or holds something that is no number.
    """
    found = []
    for name in names:
        values = _numbers(sheet, name)
        infinite, missing = np.isinf(values), np.isnan(values)
        if infinite.any() or missing.any():
            notes.append(
                f"{name}: {int(missing.sum())} cases without a value and {int(infinite.sum())} "
                "infinite ones are left out; if these are failures, give them the worst value first"
            )
            values = np.where(infinite, np.nan, values)
        if np.isnan(values).all():
            raise MedauditError(f"{sheet.where}: {name} has no value")
        direction = better.get(name, _direction(name))
        if direction is None:
            notes.append(
                f"{name}: it is not known which end is better, so no group is called the worst; "
                "name it with --higher-is-better or --lower-is-better"
            )
        bounds = _bounds(name, values)
        found.append(Outcome(TASK, name, MEAN, mean_of(values), bounds, direction))
    return found


def numbers(sheet: Sheet, true: str, predicted: str) -> list[Outcome]:
    """Return the errors of a predicted number: mean absolute error and bias.

    Parameters
    ----------
    sheet : Sheet
        The file.
    true, predicted : str
        Columns, in one unit. Cases without a true value take no part.

    Raises
    ------
    MedauditError
        A case with a true value has no prediction.
    """
    y, p = _pair(sheet, true, predicted)
    apart = p - y
    return [
        Outcome(TASK, "mean_absolute_error", MEAN, mean_of(np.abs(apart)), (0.0, np.inf), -1),
        Outcome(TASK, "bias", MEAN, mean_of(apart), None, 0),
    ]


def grades(sheet: Sheet, true: str, predicted: str) -> list[Outcome]:
    """Return quadratic kappa, exact agreement, mean absolute error and bias of grades.

    Parameters
    ----------
    sheet : Sheet
        The file.
    true, predicted : str
        Columns of whole numbers.

    Raises
    ------
    MedauditError
        A value is no whole number, or there are more than 20 true grades.
    """
    y, p = _pair(sheet, true, predicted)
    for name, values in ((true, y), (predicted, p)):
        known = values[~np.isnan(values)]
        if (known % 1 != 0).any():
            first = known[known % 1 != 0][0]
            raise MedauditError(
                f"{sheet.where}: {name} holds {first:g}, which is no grade (a whole number); round "
                "it, or use --continuous"
            )
    if np.unique(y[~np.isnan(y)]).size > MOST_GRADES:
        raise MedauditError(
            f"{sheet.where}: {true} has more than {MOST_GRADES} values; use --continuous"
        )
    same = np.where(np.isnan(y), np.nan, (y == p).astype(float))
    return [
        Outcome(TASK, "quadratic_kappa", KAPPA, moments_of(y, p), (-1.0, 1.0), 1),
        Outcome(TASK, "exact_agreement", MEAN, mean_of(same), (0.0, 1.0), 1),
        *numbers(sheet, true, predicted),
    ]


def _pair(sheet: Sheet, true: str, predicted: str) -> tuple[np.ndarray, np.ndarray]:
    y, p = _numbers(sheet, true), _numbers(sheet, predicted)
    for name, values in ((true, y), (predicted, p)):
        if np.isinf(values).any():
            raise MedauditError(f"{sheet.where}: {name} has infinite values; drop these rows")
    lacking = ~np.isnan(y) & np.isnan(p)
    if lacking.any():
        raise MedauditError(
            f"{sheet.where}: {int(lacking.sum())} cases have a value in {true} and none in "
            f"{predicted}, the first in row {int(lacking.argmax()) + 1}; leaving them out could "
            "create or hide a gap: predict them, or drop their rows"
        )
    return y, np.where(np.isnan(y), np.nan, p)


def _numbers(sheet: Sheet, name: str) -> np.ndarray:
    if name not in sheet.frame.columns:
        raise MedauditError(
            f"{sheet.where} has no column {name!r}; name one of {list(sheet.frame.columns)}"
        )
    return as_numbers(sheet.frame[name], f"the value {name}", sheet.where).to_numpy(float)


def _words(name: str) -> set[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).casefold()
    return set(re.split(r"[\W_]+", spaced))


def _direction(name: str) -> int | None:
    words = _words(name)
    rising, falling = words & set(RISING.split()), words & set(FALLING.split())
    if bool(rising) == bool(falling):
        return None
    return 1 if rising else -1


def _bounds(name: str, values: np.ndarray) -> tuple[float, float] | None:
    """Return the range of a measure whose name says that it is a share, or a distance."""
    least, most = np.nanmin(values), np.nanmax(values)
    if _words(name) & set(SHARES.split()) and least >= 0:
        if most <= 1:
            return 0.0, 1.0
        if most <= 100:
            return 0.0, 100.0
    if _direction(name) == -1 and least >= 0:
        return 0.0, np.inf
    return None


def read_patients(frame: pd.DataFrame) -> np.ndarray:
    """Return the number of each row's patient, in the order of ids."""
    return pd.factorize(frame["patient_id"], sort=True)[0]
