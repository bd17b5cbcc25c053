"""Builder `patients`: any images, split by patient; for pretraining and for your own datasets."""

from typing import cast

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.seeds import generator
from medaudit.data.cohort.selection import CohortSettings, Selection
from medaudit.data.cohort.stratified_split import split_by_labels


def build(frame: pd.DataFrame, settings: CohortSettings) -> Selection:
    """Select images and split their patients at random.

    Parameters
    ----------
    frame : pandas.DataFrame
        A manifest.
    settings : dict
        ``views`` : views to keep; null keeps all.
        ``images_per_task`` : number of images to draw for each task among those that are positive
        for it (an image drawn for one task does not count for another); null keeps all images.
        ``split`` : shares of the patients in ``train``, ``val`` and ``test``.
        ``stratify`` : attributes; each split has its share of each label in each of their groups.
        ``seed`` : seed of the random draws.

    Returns
    -------
    Selection
        With a column ``split``.

    Raises
    ------
    MedauditError
        Tasks have fewer images than ``images_per_task``; all of them are listed.
    """
    selection = Selection(frame)
    if views := settings.get("views"):
        selection.keep(frame["view"].isin(views), f"view is not {' or '.join(views)}")
    if settings.get("images_per_task"):
        drawn = _draw_images(selection.frame, settings)
        selection.keep(drawn, f"not among {settings['images_per_task']} images drawn for each task")
        selection.notes.append(
            f"{settings['images_per_task']} images were drawn for each of {len(settings['tasks'])} "
            "tasks: findings are not as frequent as in the dataset."
        )
    rng = generator("cohort", "patients", "split", settings["seed"])
    shares = cast(dict[str, float], settings["split"])
    stratify = settings.get("stratify") or []
    split = split_by_labels(selection.frame, settings["tasks"], stratify, shares, rng)
    selection.frame = selection.frame.assign(split=split)
    return selection


def _draw_images(frame: pd.DataFrame, settings: CohortSettings) -> pd.Series:
    count = settings["images_per_task"] or 0
    drawn, short = np.zeros(len(frame), bool), []
    for task in settings["tasks"]:
        shows = np.flatnonzero((frame[f"y_{task}"] == 1).to_numpy() & ~drawn)
        if len(shows) < count:
            short.append(f"{task}: {len(shows)} of {count}")
            continue
        rng = generator("cohort", "patients", task, settings["seed"])
        drawn[rng.choice(shows, count, replace=False)] = True
    if short:
        raise MedauditError(
            f"cohort {settings['name']}: too few images of {'; '.join(short)}; lower "
            "`images_per_task`, or remove these tasks"
        )
    return pd.Series(drawn, frame.index)
