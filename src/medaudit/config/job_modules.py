"""The modules that a job imports by name at run time, below ``medaudit``, by its wildcards."""

from medaudit.config.external import is_external
from medaudit.config.requests import modules_of
from medaudit.core.entry_types import Config
from medaudit.data.datasets import phantom_module


def loader(config: Config, dataset: str) -> list[str]:
    """Return the loader of a dataset."""
    return [f"data.datasets.{config['datasets'][dataset]['loader']}"]


def builder(config: Config, cohort: str) -> list[str]:
    """Return the builder of a cohort; that of a pair has none."""
    if is_external(config, cohort):
        return []
    return [f"data.cohort.{config['cohorts'][cohort]['builder']}"]


def pixels(config: Config, cohort: str) -> list[str]:
    """Return what reads or draws a cohort's images."""
    dataset = config["datasets"][config["cohorts"][cohort]["dataset"]]
    if dataset["folder"]:
        return [f"data.datasets.{dataset['loader']}"]
    return [f"data.phantoms.{phantom_module({**dataset})}"]


def model(config: Config, model: str, **names: str) -> list[str]:
    """Return the kind of a model."""
    return [f"models.kinds.{config['models'][model]['kind']}"]


def searcher(config: Config, **names: str) -> list[str]:
    """Return what a search runs."""
    return ["search.trial_runner", *trainer(config, **names)]


def trainer(config: Config, method: str, **names: str) -> list[str]:
    """Return the trainer of a fine-tuning and the kind of its model."""
    training = config["methods"][method].get("training", "erm")
    return [f"adapt.finetune.trainers.{training}", *model(config, **names)]


def head(config: Config, method: str, **names: str) -> list[str]:
    """Return the head of a probe."""
    return [f"adapt.probe.heads.{config['methods'][method]['head']}"]


def carried(config: Config, cohort: str, **names: str) -> list[str]:
    """Return what predicts an external cohort."""
    kind = config["methods"][names["method"]]["kind"]
    if kind == "probe":
        return head(config, **names)
    return model(config, **names) if kind == "zero_shot" else trainer(config, **names)


def outputs(config: Config, study: str) -> list[str]:
    """Return what makes the tables and figures of a study."""
    return modules_of(config["studies"][study])


def nothing(config: Config, **names: str) -> list[str]:
    """Return no modules."""
    return []
