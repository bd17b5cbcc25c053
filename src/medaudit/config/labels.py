"""Display names of models, methods and cohorts, which no number depends on."""

from typing import Any

from medaudit.core.entry_types import Config

SHOW_LABELS = ("compare", "report")
"""Stages whose outputs show labels; the others run again for no label."""
LABELLED = ("models", "methods", "cohorts")


def seen_by(stage: str, config: Config) -> Config:
    """Return the configuration as a stage may depend on it: most of them without labels."""
    if stage in SHOW_LABELS:
        return config
    entries: Any = {
        kind: {
            name: {key: value for key, value in entry.items() if key != "label"}
            for name, entry in config[kind].items()  # type: ignore[literal-required]
        }
        for kind in LABELLED
    }
    return {**config, **entries}
