"""Leave out validation and test images that a model has seen in pretraining."""

from collections.abc import Mapping, Sequence
from typing import Any

from medaudit.core.errors import MedauditError
from medaudit.data.cohort.selection import Selection
from medaudit.data.seen_images import seen_images


def exclude_seen(
    selection: Selection,
    seen: Mapping[str, Sequence[Mapping[str, Any]]],
    name: str,
    dataset: str,
    folder: str | None,
) -> None:
    """Leave out the validation and test images that a model has seen; training images stay.

    Parameters
    ----------
    selection : Selection
        The finished cohort, with splits.
    seen : dict
        Lists of pretraining images by model, see `medaudit.data.seen_images.seen_images`.
    name, dataset : str
        Names of the cohort and its dataset.
    folder : str or None
        Folder of the dataset, for lists of hashes.

    Raises
    ------
    MedauditError
        Nothing is left of a split.
    """
    for model, lists in seen.items():
        found = seen_images(lists, selection.frame, dataset, folder)
        tested = (selection.frame["split"] != "train").to_numpy()
        count = selection.keep(
            selection.frame["split"].eq("train") | ~found.images, f"{model} has seen the image"
        )
        selection.notes.append(
            f"{count} of {int(tested.sum())} validation and test images were left out, because "
            f"{model} has seen them in pretraining ({'; '.join(found.notes) or 'no list applies'})."
        )
        for split in ("val", "test"):
            if not selection.frame["split"].eq(split).any():
                raise MedauditError(
                    f"cohort {name}: {model} has seen every {split} image, so `exclude_seen` leaves "
                    "nothing to audit; use another split or dataset, or remove the model"
                )
