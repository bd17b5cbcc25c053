"""Any images of a dataset, split by patient: for pretraining, and for datasets of one's own."""

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.seeds import generator
from medaudit.data.cohort.patient_split import split_patients
from medaudit.data.cohort.selection import Selection


def build(frame: pd.DataFrame, settings: dict) -> Selection:
    """Draw images and split their patients at random.

    Parameters
    ----------
    frame : pandas.DataFrame
        A manifest.
    settings : dict
        ``views`` : views to keep; null keeps any.
        ``images_per_task`` : draw so many images that show each of the tasks (an image drawn for
        one task counts for no other); null keeps all images.
        ``split`` : shares of the patients in ``train``, ``val`` and ``test``.
        ``seed`` : of the draws.

    Returns
    -------
    Selection
        With a column ``split``.

    Raises
    ------
    MedauditError
        A task has fewer images than asked for; all such tasks are listed.
    """
    selection = Selection(frame)
    if settings.get("views"):
        views = settings["views"]
        selection.keep(frame["view"].isin(views), f"view is not {' or '.join(views)}")
    if settings.get("images_per_task"):
        drawn = _draw_images(selection.frame, settings)
        selection.keep(drawn, f"not among {settings['images_per_task']} images drawn for each task")
        selection.notes.append(
            f"{settings['images_per_task']} images for each of {len(settings['tasks'])} tasks: "
            "findings are not as frequent as in the dataset."
        )
    patients = selection.frame["patient_id"].unique()
    rng = generator("cohort", "patients", "split", settings["seed"])
    codes = np.zeros(len(patients), int)
    split = pd.Series(split_patients(codes, settings["split"], rng), patients, dtype="str")
    selection.frame = selection.frame.assign(split=selection.frame["patient_id"].map(split))
    return selection


def _draw_images(frame: pd.DataFrame, settings: dict) -> pd.Series:
    count, drawn, short = settings["images_per_task"], np.zeros(len(frame), bool), []
    for task in settings["tasks"]:
        shows = np.flatnonzero((frame[f"y_{task}"] == 1).to_numpy() & ~drawn)
        if len(shows) < count:
            short.append(f"{task}: {len(shows)} of {count}")
            continue
        rng = generator("cohort", "patients", task, settings["seed"])
        drawn[rng.choice(shows, count, replace=False)] = True
    if short:
        raise MedauditError(
            f"cohort {settings['name']}: too few images of {'; '.join(short)}: lower "
            "`images_per_task`, or leave these tasks out"
        )
    return pd.Series(drawn, frame.index)
