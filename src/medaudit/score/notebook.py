"""The audit in a notebook: `audit` takes arrays, frames or files and returns an `Audit`."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.score import score
from medaudit.score.arrays import tables_of
from medaudit.score.audit_result import Audit
from medaudit.score.custom_metrics import CustomMetric

Metrics = Iterable[str | Callable[..., Any] | CustomMetric] | Mapping[str, Callable[..., Any]]
FILES = (str, Path, pd.DataFrame)
MEASURED = ("measures", "ordinal", "continuous")
"""Options that say that there are outcomes without label and score."""


def audit(
    y_true: Any,
    y_score: Any = None,
    *,
    groups: Any = None,
    patients: Any = None,
    y_pred: Any = None,
    split: Any = None,
    sample_weight: Any = None,
    metrics: Metrics | None = None,
    **options: Any,
) -> Audit:
    """Audit predictions by group.

    Parameters
    ----------
    y_true : array_like, str, Path or DataFrame
        Labels, shape (n,), of several findings (n, findings). Or, without `y_score`, a file or
        frame of predictions with its labels and scores, as for ``medaudit score``.
    y_score : array_like, optional
        Scores of the same shape; (n, classes) for a label with several classes; or a dict of models
        to scores.
    groups : array_like, str, Path or DataFrame
        A frame or dict with one column per attribute, a series, or an array; with a file of
        predictions a file or frame with one row per image or patient (default: the file's columns).
    patients : array_like or str, optional
        Patient of each row, or the column's name. Images of one patient are drawn and permuted
        together.
    y_pred : array_like, optional
        Decisions (0 or 1) instead of `y_score`.
    split : array_like or str, optional
        ``val`` or ``test`` of each row: thresholds are chosen on ``val``.
    sample_weight : array_like or str, optional
        Weight of each row.
    metrics : iterable or dict, optional
        Names (`medaudit.metrics.aliases`), functions ``f(y_true, y_pred)`` or ``f(y_true,
        y_score)``, `CustomMetric`; or a dict of names to functions.
    **options
        As for `medaudit.score.score`: ``attributes``, ``control``, ``threshold``, ``gaps``,
        ``draws``, ``level``, ``minimum``, ``margins``, ``reference``, ``positive``, ``threads`` ...

        Instead of labels and scores: ``measures=["dice", "hd95"]``, columns that measure each case;
        ``ordinal`` or ``continuous``, the columns of the true and the predicted grade or number of
        a file, or True with `y_true` and `y_pred` (`medaudit.score.outcome_audit`).

    Returns
    -------
    Audit
        Tables of groups and gaps, figures, text and HTML.

    Raises
    ------
    MedauditError
        Says what is wrong and what to do.

    Examples
    --------
    >>> sex, y = ["female", "male"] * 60, [0, 0, 1, 1] * 30
    >>> score = [0.2, 0.4, 0.9, 0.3] * 30
    >>> found = audit(y, score, groups={"sex": sex}, metrics=["auc", "sensitivity"], draws=50)
    >>> float(found.by_group.loc[("sex", "male"), "tpr"]), found.worst().loc[("sex", "tpr"), "group"]
    (0.0, 'male')
    """
    named, custom = split_metrics(metrics)
    if named:
        options["metrics"] = named
    roles = {"patient": patients, "split": split, "weight": sample_weight}
    if any(options.get(name) is not None for name in MEASURED):
        return _audit_outcomes(y_true, y_pred, groups, roles, options)
    if isinstance(y_true, FILES) and y_score is None and y_pred is None:
        given = {role: value for role, value in roles.items() if value is not None}
        wrong = [role for role, value in given.items() if not isinstance(value, str)]
        if wrong:
            raise MedauditError(
                f"audit: with a file, give {' and '.join(wrong)} as a column's name"
            )
        columns = {**options.pop("columns", {}), **given}
        return Audit(score(y_true, groups, columns=columns, **options), custom)
    if (y_score is None) == (y_pred is None):
        raise MedauditError("audit: give y_score or y_pred, one of them")
    tables = tables_of(
        y_true,
        y_pred if y_score is None else y_score,
        groups,
        patients=patients,
        split=split,
        sample_weight=sample_weight,
    )
    if y_pred is not None:
        options["answers"] = tables.columns["score"]
    result = score(tables.predictions, tables.groups, columns=tables.columns, **options)
    return Audit(result, custom)


def _audit_outcomes(
    y_true: Any, y_pred: Any, groups: Any, roles: dict[str, Any], options: dict[str, Any]
) -> Audit:
    """Audit measures of cases, grades or numbers, from a file, a frame or arrays."""
    from medaudit.score.outcome_audit import score_outcomes

    if roles.pop("weight") is not None:
        raise MedauditError("audit: outcomes take no sample_weight")
    options["columns_measured"] = options.pop("measures", None) or ()
    if isinstance(y_true, FILES) and y_pred is None:
        given = {role: name for role, name in roles.items() if name is not None}
        return Audit(score_outcomes(y_true, groups, columns=given, **options))
    kind = next(name for name in ("ordinal", "continuous") if options.get(name))
    single = {"patients": roles["patient"], "split": roles["split"]}
    tables = tables_of(y_true, y_pred, groups, **single)
    options[kind] = ("label", "score")
    columns = {k: v for k, v in tables.columns.items() if k in ("id", "patient", "split")}
    return Audit(score_outcomes(tables.predictions, tables.groups, columns=columns, **options))


def split_metrics(metrics: Metrics | None) -> tuple[list[str], list[CustomMetric]]:
    """Return the metrics given by name, and those given as functions."""
    if metrics is None:
        return [], []
    pairs = (
        list(metrics.items()) if isinstance(metrics, Mapping) else [("", one) for one in metrics]
    )
    if isinstance(metrics, str):
        pairs = [("", metrics)]
    named = [one for _, one in pairs if isinstance(one, str)]
    custom = [
        one if isinstance(one, CustomMetric) else CustomMetric(one, name)
        for name, one in pairs
        if not isinstance(one, str)
    ]
    names = [one.name for one in custom]
    if len(set(names)) < len(names):
        raise MedauditError(f"audit: two metrics have one name: {', '.join(names)}")
    return named or (["accuracy"] if custom else []), custom
