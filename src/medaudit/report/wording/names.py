"""Names of models, methods and cohorts as a reader sees them: the `label` of their entries."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Labels = dict[str, str]


@dataclass(frozen=True)
class Names:
    """Display names by name of the catalogues.

    Parameters
    ----------
    models, methods, cohorts : dict of str to str
        Labels. A name without one is shown as it is.

    Examples
    --------
    >>> names = Names({"vit_b": "ViT-B/16"}, {"linear": "linear probe"})
    >>> names.run({"model": "vit_b", "method": "linear"}), names.model("mine")
    ('ViT-B/16 + linear probe', 'mine')
    """

    models: Labels = field(default_factory=dict)
    methods: Labels = field(default_factory=dict)
    cohorts: Labels = field(default_factory=dict)

    def model(self, name: str) -> str:
        """Return the display name of a model."""
        return self.models.get(name, name)

    def method(self, name: str) -> str:
        """Return the display name of a method."""
        return self.methods.get(name, name)

    def cohort(self, name: str) -> str:
        """Return the display name of a cohort."""
        return self.cohorts.get(name, name)

    def run(self, row: Mapping[str, Any]) -> str:
        """Return the display name of a run, from its ``model`` and ``method``."""
        method = row["method"]
        shown = self.model(row["model"])
        return shown if method == GIVEN else f"{shown} + {self.method(method)}"


GIVEN = "given"
"""Method of external predictions: nothing was trained, so it is not shown."""


def read_names(entries: Mapping[str, Any]) -> Names:
    """Return the labels of catalogue entries; a label that two names share is not used.

    Parameters
    ----------
    entries : mapping
        ``models``, ``methods`` and ``cohorts``: entries by name.
    """
    kinds = ("models", "methods", "cohorts")
    return Names(*(_distinct(entries.get(kind, {})) for kind in kinds))


def _distinct(entries: Mapping[str, Mapping[str, Any]]) -> Labels:
    labels = {name: entry["label"] for name, entry in entries.items() if entry.get("label")}
    shown = Counter(labels.get(name, name) for name in entries)
    return {name: label for name, label in labels.items() if shown[label] == 1}
