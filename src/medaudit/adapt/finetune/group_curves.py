"""AUC of every group after each epoch of a refit, on the training and the validation split.

A gap between groups that is absent on training images and present on other images is the fairness
generalisation gap (Dutt et al. 2024, figures 1 and 3). The curves are only recorded: they do not
affect which epoch is selected.
"""

from collections.abc import Callable
from typing import cast

import numpy as np
import pandas as pd

from medaudit.adapt.finetune.inputs import Split
from medaudit.adapt.finetune.loader import ImageLoader
from medaudit.adapt.finetune.network import Network
from medaudit.adapt.finetune.trainer import predict_on_all_processes
from medaudit.adapt.finetune_settings import FinetuneSettings
from medaudit.adapt.objective import Objective
from medaudit.core.entry_types.methods import MethodEntryObjective

GroupAucs = dict[str, float | None]
GroupAucMeasure = Callable[[Network, np.ndarray], dict[str, GroupAucs]]


def group_auc_measure(
    settings: FinetuneSettings, splits: dict[str, Split], frame: pd.DataFrame, images: ImageLoader
) -> GroupAucMeasure | None:
    """Return a function that measures each group's AUC after an epoch.

    Parameters
    ----------
    settings : dict
        ``entry`` (``group_curves``; ``objective`` with ``attribute`` and ``minimum``), ``tasks``,
        ``task_type``.
    splits : dict of str to Split
        ``train`` and ``val``.
    frame : pandas.DataFrame
        The images that the positions in `splits` refer to.
    images : ImageLoader
        Loads the training images without augmentation. They are predicted once more after each
        epoch, by the network in evaluation mode.

    Returns
    -------
    callable or None
        Maps the network and the validation logits to ``{"train": {group: AUC}, "val": ...}``: the
        mean over tasks, None for a group with fewer images than the objective's ``minimum``.
        None if the method does not set ``group_curves``.
    """
    entry = settings["entry"]
    if not entry.get("group_curves"):
        return None
    auc_by_group = cast(MethodEntryObjective, {**entry["objective"], "metric": "auc_min"})
    objectives = {
        name: Objective(
            auc_by_group,
            frame.iloc[splits[name].positions].reset_index(drop=True),
            settings["tasks"],
            settings["task_type"],
        )
        for name in ("train", "val")
    }

    def measure(network: Network, logits: np.ndarray) -> dict[str, GroupAucs]:
        train = predict_on_all_processes(network, images, splits["train"].rows)
        return {
            "train": objectives["train"].by_group(train),
            "val": objectives["val"].by_group(logits),
        }

    return measure
