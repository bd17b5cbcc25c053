"""Which models a study is about, which are controls, and which run of each is answered first."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from medaudit.report.answers.structure import CONTROL, OTHER, SUBJECT
from medaudit.report.studies.evidence import RUN, Evidence, direction, ordered

FEW = 3
"""Up to this number of models that are no controls, all are subjects if none is named."""


@dataclass(frozen=True)
class Roles:
    """Roles of the models of a study.

    Parameters
    ----------
    subjects, controls : tuple of str
        Models.
    first : frozenset of tuple
        Cohort, model and method of each subject's best run.
    best_control : dict of str to tuple
        Cohort to the best control's run.
    """

    subjects: tuple[str, ...]
    controls: tuple[str, ...]
    first: frozenset[tuple[str, ...]]
    best_control: dict[str, tuple[str, ...]]

    def of(self, run: Mapping[str, str]) -> str:
        """Return the role of a run."""
        if run["model"] in self.controls:
            return CONTROL
        return SUBJECT if run["model"] in self.subjects else OTHER

    def is_first(self, run: Mapping[str, str]) -> bool:
        """Return whether a run is answered on the first screen."""
        return tuple(run[name] for name in RUN) in self.first


def roles_of(evidence: Evidence, values: pd.DataFrame) -> Roles:
    """Return the roles that a study declares, or those that follow from what it has.

    Parameters
    ----------
    evidence : Evidence
        The study.
    values : pandas.DataFrame
        Values of all groups together.
    """
    models = ordered(values["model"])
    named = evidence.entry.get("controls") or []
    controls = [name for name in named if name in models]
    rest = [name for name in models if name not in controls]
    ranked = _ranked(values, evidence.headline)
    subjects = [name for name in evidence.entry.get("subjects") or [] if name in models]
    if not subjects:
        # Where only controls were run, they are all there is to answer about.
        subjects = (rest or models) if len(rest or models) <= FEW else _best(ranked, rest)
    if not rest:
        controls = []
    return Roles(
        tuple(subjects),
        tuple(controls),
        frozenset(_first(ranked[ranked["model"].isin(subjects)], [*RUN[:1], "model"])),
        {run[0]: run for run in _first(ranked[ranked["model"].isin(controls)], RUN[:1])},
    )


def _ranked(values: pd.DataFrame, headline: str) -> pd.DataFrame:
    """Return the runs, the best value of the headline first; those without a value last."""
    rows = values[values["measure"] == headline]
    order = direction(headline) * rows["value"]
    return rows.loc[order.sort_values(ascending=False, kind="stable", na_position="last").index]


def _best(ranked: pd.DataFrame, models: list[str]) -> list[str]:
    best = ranked[ranked["model"].isin(models)].drop_duplicates("cohort")
    return ordered(best["model"])


def _first(ranked: pd.DataFrame, by: list[str]) -> list[tuple[str, ...]]:
    found = ranked.drop_duplicates(by)[RUN]
    return [tuple(run) for run in found.itertuples(index=False, name=None)]
