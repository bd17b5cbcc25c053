"""Remedies on predictions alone: group thresholds and recalibration, fitted on validation rows."""

import time
from collections.abc import Iterator

import numpy as np
import pandas as pd

from medaudit.adapt.after_training import AFTER_TRAINING, Scored, apply_after, needs_group
from medaudit.audit.remedies.arms import Arm
from medaudit.audit.remedies.changes import compare_arms
from medaudit.core.audit_tables import REMEDIES
from medaudit.core.entry_types import Evaluation
from medaudit.core.errors import MedauditError
from medaudit.core.mitigation import AFTER, CONTROL, PLAIN
from medaudit.metrics.attributes import Attribute, read_attributes
from medaudit.metrics.thresholds import choose_threshold, value_for
from medaudit.score.assemble import Study

GIVEN = "given"
"""Takes the place of a rule of selection: the model is as it is."""

Cost = dict[str, float]


def try_remedies(study: Study, evaluation: Evaluation, threads: int) -> pd.DataFrame:
    """Return what every remedy after training changes for each group, task and model.

    Parameters
    ----------
    study : Study
        With validation rows; of a multi-class study each class is decided against the rest.
    evaluation : Evaluation
        ``threshold``, ``minimum``, ``bootstrap``, ``ece_bins``.
    threads : int
        Changes no number.

    Returns
    -------
    pandas.DataFrame
        Columns of `medaudit.core.audit_tables.REMEDIES`; ``rule`` is `GIVEN`.

    Raises
    ------
    MedauditError
        There are no validation rows, no scores, no groups, or images have weights.
    """
    _check(study)
    tables = []
    for (model, method), rows in study.predictions.items():
        name = model if method == GIVEN else f"{model} / {method}"
        for attribute in read_attributes(
            study.cohort, np.ones(len(study.cohort), bool), study.attributes
        )[1:]:
            for task in study.tasks:
                found = _compare(study, rows, attribute, task, evaluation, threads)
                if found is not None:
                    tables.append(found.assign(cohort=study.name, model=name))
    if not tables:
        raise MedauditError(
            "--mitigate: no finding has both classes in the validation rows, or no group is large "
            "enough there; give more validation rows"
        )
    return pd.concat(tables, ignore_index=True).reindex(columns=list(REMEDIES.columns))


def _check(study: Study) -> None:
    if not study.has_validation:
        raise MedauditError(
            "--mitigate fits thresholds and calibration on validation rows, and the file has none: "
            "add a column `split` with val and test (medaudit split makes one, by patient)"
        )
    if not study.scored:
        raise MedauditError("--mitigate needs scores; the file has answers only")
    if study.weighted:
        raise MedauditError("--mitigate does not take weights of images; leave out --weights")
    if not study.attributes:
        raise MedauditError("--mitigate needs groups: give --groups, or name --attributes")


def _compare(
    study: Study,
    rows: pd.DataFrame,
    attribute: Attribute,
    task: str,
    evaluation: Evaluation,
    threads: int,
) -> pd.DataFrame | None:
    """Return the changes of one model, attribute and task; None where validation has one class."""
    places = {name: np.flatnonzero(study.cohort["split"] == name) for name in ("val", "test")}
    scores = {name: _scores(study.cohort.iloc[at], rows, task) for name, at in places.items()}
    y = {name: study.cohort[f"y_{task}"].to_numpy(float)[at] for name, at in places.items()}
    known = {n: ~np.isnan(y[n]) & ~np.isnan(scores[n]).any(axis=0) for n in places}
    if len(np.unique(y["val"][known["val"]])) < 2 or not known["test"].any():
        return None
    group = {name: attribute.codes[at] for name, at in places.items()}
    val, test = (
        [
            Scored(one[known[n]], y[n][known[n]] if n == "val" else np.empty(0), group[n][known[n]])
            for one in scores[n]
        ]
        for n in ("val", "test")
    )
    costs: Cost = {PLAIN: 0.0}
    arms = [_plain(val, test, task, evaluation), *_arms(val, test, task, evaluation, costs)]
    images = study.cohort.iloc[places["test"][known["test"]]].reset_index(drop=True)
    settings = {"cohort": study.name, "evaluation": evaluation}
    table = compare_arms(arms, images, attribute.name, task, settings, threads)  # type: ignore[arg-type]
    needs = {name: "yes" if needs_group(name) else "no" for name in AFTER_TRAINING}
    return table.assign(
        kind=np.where(table["remedy"].eq(PLAIN), CONTROL, AFTER),
        needs_group=table["remedy"].map(needs).fillna("no"),
        processor_seconds=table["remedy"].map(costs),
    )


def _plain(val: list[Scored], test: list[Scored], task: str, evaluation: Evaluation) -> Arm:
    """Return the model as it is, with the threshold of everybody on validation."""
    rule = evaluation["threshold"]
    value = value_for(rule, task)
    cuts = [choose_threshold(one.score, one.y == 1, rule["rule"], value) for one in val]
    score = np.stack([one.score for one in test])
    return Arm(GIVEN, PLAIN, score, (score >= np.array(cuts)[:, None]).astype(float))


def _arms(
    val: list[Scored], test: list[Scored], task: str, evaluation: Evaluation, costs: Cost
) -> Iterator[Arm]:
    for name in AFTER_TRAINING:
        start = time.process_time()
        outcomes = [
            apply_after(
                name, before, after, evaluation["threshold"], evaluation["minimum"], task, seed
            )
            for seed, (before, after) in enumerate(zip(val, test, strict=True))
        ]
        costs[name] = time.process_time() - start
        done = [one for one in outcomes if one is not None]
        if len(done) == len(outcomes):
            score, decision = (
                np.stack([getattr(o, k) for o in done]) for k in ("score", "decision")
            )
            yield Arm(GIVEN, name, score, decision, True)


def _scores(images: pd.DataFrame, rows: pd.DataFrame, task: str) -> np.ndarray:
    """Return the scores of images ``[seeds, n]``; NaN where there is none."""
    own = rows[rows["task"] == task]
    wide = own.pivot(index="seed", columns="image_id", values="score")
    return wide.reindex(columns=images["image_id"]).to_numpy(float)
