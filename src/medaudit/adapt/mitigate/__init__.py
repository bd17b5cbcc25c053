"""Stage `mitigate`: every remedy on a cohort's stored embeddings, under one protocol.

All remedies of a task and attribute have the same training budget and as many points to search as
plain training; a named rule selects on validation; the test images are scored, and their labels are
not read. `medaudit.audit.remedies` measures what each remedy changes. See ``docs/mitigation.md``.
"""

import logging
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from medaudit.adapt.after_training import AFTER_TRAINING
from medaudit.adapt.mitigate.arms import Arms, Decided, Terms
from medaudit.adapt.mitigate.problem import Part, Problem
from medaudit.adapt.mitigate.remedies import REMEDIES
from medaudit.adapt.targets import join_embeddings, standardise
from medaudit.core.audit_tables import MITIGATED
from medaudit.core.entry_types import Evaluation
from medaudit.core.errors import MedauditError
from medaudit.core.seeds import derive_seed
from medaudit.core.table_io import GROUPS, join_groups, read_metadata, read_table, write_table
from medaudit.metrics.attributes import Attribute, read_attributes

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")


class MitigateSettings(TypedDict):
    """Settings of the stage `mitigate`; `evaluation` has ``mitigation``, ``threshold``, ``minimum``."""

    cohort: str
    model: str
    tasks: list[str]
    attributes: list[str | list[str]]
    evaluation: Evaluation


def mitigate(
    settings: MitigateSettings,
    *,
    cohort: Path,
    groups: Path | None = None,
    embeddings: Path,
    output: Path,
    threads: int = 1,
) -> None:
    """Fit every remedy for each task and attribute, and write the test images' scores and decisions.

    Parameters
    ----------
    settings : MitigateSettings
        Names, tasks (of a multi-class cohort each class against the rest) and attributes, and of the
        evaluation how remedies are trained and selected.
    cohort, embeddings : Path
        Tables of that cohort and model.
    groups : Path, optional
        Groups of the cohort's images (`medaudit.core.table_io.read_audited`).
    output : Path
        Table `medaudit.core.audit_tables.MITIGATED`. Its footer contains ``runs`` (what was searched
        and selected, and the cost of each remedy), ``phantom`` and ``notes``.
    threads : int
        Processor threads.

    Raises
    ------
    MedauditError
        The tables do not belong together, or an attribute, task or remedy is unknown.
    """
    from threadpoolctl import threadpool_limits

    frame, x, notes = join_embeddings(cohort, embeddings)
    if groups is not None:
        frame = _with_groups(frame, groups)
    masks = {name: (frame["split"] == name).to_numpy() for name in SPLITS}
    x = standardise(x, masks["train"])
    attributes = read_attributes(frame, np.ones(len(frame), bool), settings["attributes"])[1:]
    tables: list[pd.DataFrame] = []
    runs: list[dict[str, Any]] = []
    with threadpool_limits(threads):
        for attribute in attributes:
            for task in settings["tasks"]:
                found = _fit(settings, frame, x, masks, attribute, task)
                if isinstance(found, str):
                    notes.append(found)
                    continue
                arms, test = found
                head = {"attribute": attribute.name, "task": task}
                tables += [_rows(decided, test).assign(**head) for decided in arms.run()]
                runs += [{**head, **record} for record in arms.records]
    if not tables:
        raise MedauditError(
            f"mitigate: no task of {settings['cohort']} can be trained and selected for any "
            f"attribute ({'; '.join(notes)}); choose other tasks in evaluation.mitigation.tasks"
        )
    write_table(
        pd.concat(tables, ignore_index=True),
        output,
        MITIGATED,
        phantom=read_metadata(embeddings).get("phantom"),
        runs=runs,
        notes=notes,
    )


def _with_groups(frame: pd.DataFrame, groups: Path) -> pd.DataFrame:
    table = read_table(groups, GROUPS)
    return join_groups(frame, table[table["image_id"].isin(frame["image_id"])])


def _fit(
    settings: MitigateSettings,
    frame: pd.DataFrame,
    x: np.ndarray,
    masks: dict[str, np.ndarray],
    attribute: Attribute,
    task: str,
) -> tuple[Arms, pd.DataFrame] | str:
    """Return the arms of a task and attribute and their test images, or why there are none."""
    if f"y_{task}" not in frame:
        raise MedauditError(f"mitigate: {settings['cohort']} has no task {task!r}")
    y = frame[f"y_{task}"].to_numpy(float)
    levels = len(attribute.levels)
    group = np.where(attribute.codes < 0, levels, attribute.codes).astype(int)
    rows = {name: np.flatnonzero(mask & ~np.isnan(y)) for name, mask in masks.items()}
    for name in ("train", "val"):
        if len(np.unique(y[rows[name]])) < 2:
            return f"{task}: the split {name} has one class only, so no remedy was tried"
    parts = {name: Part(x[at], y[at], group[at]) for name, at in rows.items()}
    count = levels + int((group == levels).any())
    mitigation = settings["evaluation"]["mitigation"]
    names = (settings["cohort"], settings["model"], attribute.name, task)

    def seeds(purpose: str, number: int) -> tuple[int, ...]:
        return tuple(derive_seed("mitigate", purpose, *names, seed) for seed in range(number))

    problem = Problem(
        parts["train"], parts["val"], count, levels, mitigation, seeds("", mitigation["seeds"])
    )
    terms = Terms(
        task,
        mitigation["rules"],
        settings["evaluation"]["threshold"],
        settings["evaluation"]["minimum"],
        mitigation["remedies"] or [*REMEDIES, *AFTER_TRAINING],
    )
    many = seeds("many", mitigation["configurations"])
    test = frame.iloc[rows["test"]]
    return Arms(problem, parts["test"]._replace(y=np.empty(0)), terms, many), test


def _rows(decided: Decided, test: pd.DataFrame) -> pd.DataFrame:
    seeds, n = decided.score.shape
    return pd.DataFrame(
        {
            "rule": decided.rule,
            "remedy": decided.remedy,
            "image_id": np.tile(test["image_id"].to_numpy(), seeds),
            "seed": np.repeat(np.arange(seeds), n),
            "score": decided.score.reshape(-1),
            "decision": decided.decision.reshape(-1),
        }
    )
