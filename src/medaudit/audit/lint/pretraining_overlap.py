"""Models that saw an audited dataset during pretraining."""

from collections.abc import Mapping
from typing import NamedTuple

from medaudit.core.entry_types import ModelEntry


class Overlap(NamedTuple):
    """A model that saw an audited dataset during pretraining, or may have."""

    model: str
    sentence: str


def overlaps(models: Mapping[str, ModelEntry], datasets: list[str]) -> list[Overlap]:
    """Return the models that saw an audited dataset during pretraining, or may have.

    Names are compared without case, so ``pretraining_data: [CheXpert]`` matches ``chexpert``. A
    model whose ``pretraining_data`` is unknown (null or absent) is returned as well.
    """
    audited = {dataset.casefold(): dataset for dataset in datasets}
    found = []
    for name, entry in models.items():
        seen = entry.get("pretraining_data")
        both = [audited[item.casefold()] for item in seen or [] if item.casefold() in audited]
        if seen is None:
            sentence = (
                f"{name}: its pretraining data are unknown, so it may have seen test images; "
                "state `pretraining_data` of its entry in config/models"
            )
            found.append(Overlap(name, sentence))
        elif both:
            sentence = (
                f"{name} was pretrained on {', '.join(both)}: it may have seen images of the "
                "audited test set"
            )
            found.append(Overlap(name, sentence))
    return found
