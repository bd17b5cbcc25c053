"""AUC of every group by epoch, on the training and the validation split of a refit.

Bias that is not there on the training images and is on others is the fairness generalisation gap
(Dutt et al. 2024, figures 1 and 3). It is only noted: nothing is chosen by it.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from medaudit.adapt.finetune.inputs import Split
from medaudit.adapt.finetune.loader import ImageFeed
from medaudit.adapt.finetune.network import Network
from medaudit.adapt.finetune.trainer import predict_together
from medaudit.adapt.objective import Objective

Watch = Callable[[Network, np.ndarray], dict]


def watch_groups(
    settings: dict, splits: dict[str, Split], frame: pd.DataFrame, images: ImageFeed
) -> Watch | None:
    """Return what measures each group after an epoch; None where ``group_curves`` is not set.

    Parameters
    ----------
    settings : dict
        ``entry`` (``group_curves``; ``objective`` with ``attribute`` and ``minimum``), ``tasks``,
        ``task_type``.
    splits : dict of str to Split
        ``train`` and ``val``.
    frame : pandas.DataFrame
        The images that `splits` count.
    images : ImageFeed
        Gives the training images without augmentation. They are predicted once more in each
        epoch, by the network as it is, in evaluation mode.

    Returns
    -------
    callable or None
        Takes the network and the validation logits, and returns ``{"train": {group: AUC}, "val":
        ...}``: the mean over tasks, None for a group with fewer images than the objective's
        ``minimum``.
    """
    entry = settings["entry"]
    if not entry.get("group_curves"):
        return None
    wanted = {**entry["objective"], "metric": "auc_min"}
    measure = {
        name: Objective(
            wanted,
            frame.iloc[splits[name].positions].reset_index(drop=True),
            settings["tasks"],
            settings["task_type"],
        )
        for name in ("train", "val")
    }

    def watch(network: Network, logits: np.ndarray) -> dict:
        train = predict_together(network, images, splits["train"].rows)
        return {"train": measure["train"].by_group(train), "val": measure["val"].by_group(logits)}

    return watch
