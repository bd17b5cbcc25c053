"""Types of the settings of a fine-tuning and of the point that a search found."""

from typing import NotRequired, TypedDict

from medaudit.core.entry_types import MethodEntry, ModelEntry


class SearchPoint(TypedDict):
    """A point of a search's space: what one trial tunes, and how."""

    mask: str
    learning_rate: float
    pruning_ratio: NotRequired[float]
    beta: NotRequired[float]


class TrainingEntry(MethodEntry, total=False):
    """A method's entry with the coordinates of a search point filled in, if it has one."""

    pruning_ratio: float
    beta: float


class FinetuneSettings(TypedDict):
    """Settings of the stage `finetune`, and of the trials of a search."""

    cohort: str
    model: str
    method: str
    seed: NotRequired[int | str]
    model_entry: ModelEntry
    entry: TrainingEntry
    tasks: list[str]
    task_type: str
    point: NotRequired[SearchPoint]


class TransferSettings(FinetuneSettings):
    """Settings of the stage `transfer`: those of the training at home, and the external cohort.

    ``cohort`` is the name of the pair's cohort, ``home`` that of the cohort trained on; ``kept``
    are the tasks that the external cohort has too.
    """

    home: str
    kept: list[str]
