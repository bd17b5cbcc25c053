"""Balance race and sex in the training split (Khan et al., How Fair, section 4.3)."""

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.data.cohort.selection import Selection


def balance_race_sex(selection: Selection, rng: np.random.Generator) -> None:
    """Undersample each race in the training split to the size of the smallest race.

    All images of the smallest race are kept. From the largest race, numbers of women and men are
    drawn that bring the whole split as close to 1:1 as this race allows; from the others, images
    are drawn uniformly. The paper states no seed, no counts and no finer rule. The other splits are
    not changed.

    Parameters
    ----------
    selection : Selection
        Rows are removed from its frame; ``balance`` of its details gets the counts before and
        after.
    rng : numpy.random.Generator
        Source of randomness.

    Raises
    ------
    MedauditError
        The training split has fewer than two races.
    """
    train = selection.frame[selection.frame["split"] == "train"]
    sizes = _race_sizes(train)
    n, largest = int(sizes.min()), sizes.idxmax()
    kept = [
        _draw(train.index[train["a_race"] == race], n, rng) for race in sizes.index.drop(largest)
    ]
    women = int((train.loc[np.concatenate(kept), "a_sex"] == "female").sum())
    kept += _draw_evened(train[train["a_race"] == largest], n, len(sizes) * n / 2 - women, rng)
    reason = "undersampled to balance race and sex in training"
    balance = {"kind": "race_sex", "images_of_each_race": n}
    _keep_in_training(selection, train, np.concatenate(kept), reason, balance)


def match_size(selection: Selection, rng: np.random.Generator) -> None:
    """Draw as many training images as `balance_race_sex` keeps, without balancing them.

    A model trained on them differs from one trained on the balanced split in who is in it, and not
    in how much there is.

    Parameters
    ----------
    selection : Selection
        Training rows are removed from its frame; ``balance`` of its details is set.
    rng : numpy.random.Generator
        Source of randomness.

    Raises
    ------
    MedauditError
        The training split has fewer than two races.
    """
    train = selection.frame[selection.frame["split"] == "train"]
    sizes = _race_sizes(train)
    kept = _draw(train.index, len(sizes) * int(sizes.min()), rng)
    reason = "left out at random: as many as balancing would leave out"
    _keep_in_training(selection, train, kept, reason, {"kind": "same_size"})


def _keep_in_training(
    selection: Selection, train: pd.DataFrame, rows: np.ndarray, reason: str, balance: dict
) -> None:
    """Keep these rows of the training split and all of the others, and describe it."""
    chosen = selection.frame.index.isin(rows)
    others = (selection.frame["split"] != "train").to_numpy()
    selection.keep(pd.Series(chosen | others), reason)
    after = selection.frame[selection.frame["split"] == "train"]
    counts = {"train_before": _count(train), "train_after": _count(after)}
    selection.details["balance"] = {**balance, **counts}


def _race_sizes(train: pd.DataFrame) -> pd.Series:
    sizes = train["a_race"].value_counts().sort_index()
    if len(sizes) < 2:
        raise MedauditError(
            f"balancing needs at least two races in the training split, which has "
            f"{list(sizes.index)}; set `balance: none`"
        )
    return sizes


def _draw(rows: pd.Index, n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(rows.to_numpy())[:n]


def _draw_evened(
    rows: pd.DataFrame, n: int, wanted: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """Draw `n` rows with `wanted` women among them, or as close to this number as possible."""
    female = rows["a_sex"] == "female"
    least, most = max(0, n - int((~female).sum())), min(n, int(female.sum()))
    women = int(np.clip(round(wanted), least, most))
    return [
        _draw(rows.index[female], women, rng),
        _draw(rows.index[~female], n - women, rng),
    ]


def _count(train: pd.DataFrame) -> dict[str, int]:
    """Return the number of images per race and sex."""
    counts = train.groupby(["a_race", "a_sex"]).size()
    return {f"{race} & {sex}": int(n) for (race, sex), n in counts.items()}
