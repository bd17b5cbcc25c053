"""Audit of outcomes without label and score: Dice and HD95 by case, grades, numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medaudit.core import table_io
from medaudit.core.atomic import atomic
from medaudit.core.audit_tables import CONDITIONAL, DIALECTS, RANKINGS, SENSITIVITY
from medaudit.core.entry_types import Evaluation
from medaudit.core.errors import MedauditError
from medaudit.core.intersections import join_names
from medaudit.data.readers.roles import find_role
from medaudit.data.readers.sheet import read_sheet
from medaudit.metrics.attributes import read_attributes
from medaudit.metrics.outcome_metrics import Outcome
from medaudit.report.equivalence import judged_rows
from medaudit.score import Result
from medaudit.score.assemble import OUTCOMES, Study
from medaudit.score.join_groups import Wanted, choose_attributes, join_groups
from medaudit.score.outcome_columns import grades, measures, numbers, read_patients
from medaudit.score.outcome_tables import outcome_tables

RUN = ("model", "given")


@dataclass(repr=False)
class OutcomeResult(Result):
    """The tables of an audit of outcomes; what needs labels and scores is empty."""

    def write(self, folder: str | Path, audit_card: str | Path | None = None) -> Path:
        """Write the tables and a page with them into `folder`; return the page's path.

        Raises
        ------
        MedauditError
            `audit_card` is given: the page of outcomes does not show one.
        """
        if audit_card is not None:
            raise MedauditError(
                f"the page of outcomes shows no audit card; leave out {audit_card}, or give it to "
                "medaudit dossier"
            )
        from medaudit.score.audit_result import Audit

        folder, name = Path(folder), self.study.name
        parts = (
            ("evaluate", self.metrics, table_io.METRICS),
            ("disparity", self.gaps, table_io.GAPS),
        )
        for stage, table, schema in parts:
            table_io.write_table(table, folder / stage / name / "model/given.csv", schema)
        record = {
            "evaluation": {**self.evaluation},
            "detected": [list(d) for d in self.study.detected],
        }
        table_io.write_json(record, folder / "run.json")
        page = folder / "report.html"
        title = f"Audit of {name}"
        with atomic(page) as temporary:
            text = PAGE.format(title=title, body=Audit(self)._repr_html_())
            temporary.write_text(text, encoding="utf-8")
        return page


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font-family:sans-serif;max-width:70em;margin:2em auto;padding:0 1em}}
table{{border-collapse:collapse}}td,th{{padding:.2em .8em;text-align:right}}
tr{{border-bottom:1px solid #ddd}}</style><h1>{title}</h1>{body}</html>
"""


def score_outcomes(
    data: str | Path | pd.DataFrame,
    groups: str | Path | pd.DataFrame | None = None,
    *,
    columns_measured: Sequence[str] = (),
    ordinal: Sequence[str] | None = None,
    continuous: Sequence[str] | None = None,
    better: Mapping[str, int] | None = None,
    columns: Mapping[str, Any] | None = None,
    attributes: list[str] | None = None,
    age_threshold: float | list[float] = 60,
    draws: int = 1000,
    level: float = 0.95,
    minimum: int = 10,
    margins: Mapping[str, Any] | None = None,
) -> OutcomeResult:
    """Audit outcomes of cases by group.

    Parameters
    ----------
    data : str, Path or DataFrame
        One row per case (image).
    groups : str, Path or DataFrame, optional
        As for `medaudit.score.score`.
    columns_measured : sequence of str
        Columns that measure each case, e.g. ``dice`` and ``hd95``: compared are their means.
    ordinal, continuous : pair of str, optional
        Columns of the true and the predicted grade, or number.
    better : dict, optional
        1 (larger) or -1 (smaller is better) by measured column, where its name does not say so.
    columns : dict, optional
        ``id``, ``patient``, ``split``.
    attributes, age_threshold, draws, level, margins
        As for `medaudit.score.score`; margins are in the unit of the outcome.
    minimum : int
        Smaller groups (in cases) are not estimated.

    Returns
    -------
    OutcomeResult
        Its ``metrics`` and ``gaps`` have one metric per outcome, of the task ``cases``. Null
        hypothesis ``equal_value``: `medaudit.metrics.outcome_gaps`.

    Raises
    ------
    MedauditError
        A column does not exist or is no number, or a group is not found.
    """
    sheet = read_sheet(data if isinstance(data, pd.DataFrame) else Path(data), "the cases")
    notes: list[str] = list(sheet.notes)
    outcomes = measures(sheet, list(columns_measured), dict(better or {}), notes)
    used = list(columns_measured)
    for pair, read in ((ordinal, grades), (continuous, numbers)):
        if pair is not None:
            outcomes += read(sheet, *pair)
            used += list(pair)
    study = _study(data, sheet, groups, used, columns or {}, attributes, age_threshold, notes)
    return audit_outcomes(study, outcomes, draws, level, minimum, dict(margins or {}))


def audit_outcomes(
    study: Study,
    outcomes: list[Outcome],
    draws: int,
    level: float,
    minimum: int,
    margins: dict[str, Any],
) -> OutcomeResult:
    """Return the tables of outcomes of a study's test images, in the order of its cohort."""
    names = [outcome.metric for outcome in outcomes]
    if not names or len(set(names)) < len(names):
        raise MedauditError(f"name at least one outcome, and each once; named are {names}")
    if unknown := sorted(set(margins) - set(names)):
        raise MedauditError(f"margins: there is no outcome {unknown}; name some of {names}")
    for name, margin in margins.items():
        for value in margin.values() if isinstance(margin, Mapping) else (margin,):
            if not value > 0:
                raise MedauditError(f"the margin {value!r} of {name} is not above 0")
    evaluation: Evaluation = {
        "metrics": names,
        "gaps": ["max_min"],
        "bootstrap": {"draws": draws, "level": level},
        "null": {"draws": draws},
        "minimum": {"n": minimum, "n_pos": 1, "n_neg": 1},
        "threshold": {"rule": "fixed", "value": 0.5},
        "margins": margins,
        "control": [],
        "reference": {},
    }
    test = (study.cohort["split"] == "test").to_numpy()
    coded = read_attributes(study.cohort, test, study.attributes)
    patient = read_patients(study.cohort[test])
    metrics, gaps, null = outcome_tables(
        [_rows(outcome, test) for outcome in outcomes], coded, patient, evaluation, study.name
    )
    empty = {
        name: pd.DataFrame(columns=list(schema.columns))
        for name, schema in (
            ("dialects", DIALECTS),
            ("rankings", RANKINGS),
            ("conditional", CONDITIONAL),
            ("sensitivity", SENSITIVITY),
        )
    }
    return OutcomeResult(
        study=study,
        metrics=metrics,
        gaps=gaps,
        **empty,
        lint=pd.DataFrame(columns=["check", "severity", "message", "count", "where"]),
        equivalence=judged_rows(gaps, margins),
        evaluation=evaluation,
        replicates={},
        nulls={RUN: null},
    )


def _rows(outcome: Outcome, test: np.ndarray) -> Outcome:
    fields = {name: getattr(outcome, name) for name in ("task", "metric", "kind")}
    return Outcome(
        **fields, columns=outcome.columns[test], bounds=outcome.bounds, better=outcome.better
    )


def _study(
    data: Any,
    sheet: Any,
    groups: Any,
    used: list[str],
    columns: Mapping[str, Any],
    attributes: list[str] | None,
    age_threshold: float | list[float],
    notes: list[str],
) -> Study:
    names = list(sheet.frame.columns)
    roles = {
        role: columns.get(role) or find_role(names, role, set(used))
        for role in ("id", "patient", "split")
    }
    frame = sheet.frame
    rows = pd.Series(np.arange(len(frame)).astype(str), name="image_id")
    image = rows if roles["id"] is None else frame[roles["id"]].astype("str").reset_index(drop=True)
    if image.duplicated().any():
        first = image[image.duplicated()].iloc[0]
        raise MedauditError(
            f"{sheet.where}: duplicate id {first!r}; give one row per case, one file per model"
        )
    patient = image if roles["patient"] is None else frame[roles["patient"]].astype("str")
    base = pd.DataFrame({"image_id": image, "patient_id": patient.to_numpy()})
    own, wanted = None, Wanted(attributes or [], [], age_threshold)
    if groups is not None:
        own = read_sheet(groups if isinstance(groups, pd.DataFrame) else Path(groups), "the groups")
        given = {k: [str(v)] for k, v in columns.items() if k in ("id", "patient")}
        candidates = join_groups(own, base, given, wanted.names)
    else:
        taken = [*used, *(name for name in roles.values() if name is not None)]
        candidates = frame.drop(columns=taken).reset_index(drop=True)
    levels, chosen = choose_attributes(candidates, wanted, sheet.where, notes)
    test = np.ones(len(frame), bool)
    if roles["split"] is not None:
        test = frame[roles["split"]].astype("str").str.casefold().eq("test").to_numpy()
        if not test.any():
            raise MedauditError(f"{sheet.where}: {roles['split']} has no row 'test'")
    detected = [("cases", f"{sheet.where}: {len(frame)} rows, {int(test.sum())} of them audited")]
    detected += [(role, str(name)) for role, name in roles.items() if name is not None]
    if roles["patient"] is None:
        detected.append(("patient", "no column: each case counts as a patient"))
    detected += [("", note) for note in [*notes, *(own.notes if own else [])]]
    detected.append(("groups", ", ".join(map(join_names, chosen))))
    cohort = base.assign(path=base["image_id"], split=np.where(test, "test", "train"))
    cohort = pd.concat([cohort, levels], axis=1)
    files = [Path(f) for f in (data, groups) if isinstance(f, str | Path)]
    return Study(
        name=Path(data).stem if isinstance(data, str | Path) else "scored",
        cohort=cohort,
        predictions={RUN: pd.DataFrame()},
        tasks=["cases"],
        task_type=OUTCOMES,
        attributes=chosen,
        declared=[],
        detected=detected,
        files=files,
        has_patients=roles["patient"] is not None,
    )
