"""Captions from a table of findings. They mention neither sex nor age nor any other attribute."""

import pandas as pd

NONE = "no finding"
PREFIX = "y_"


def describe_findings(cohort: pd.DataFrame) -> pd.Series:
    """Return the findings of each image as text, e.g. ``cardiomegaly and edema``.

    Parameters
    ----------
    cohort : pandas.DataFrame
        With ``y_<task>`` columns: 1, 0 or missing.

    Returns
    -------
    pandas.Series
        Lower-case text, findings in the order of the columns; ``no finding`` where none is 1 and
        at least one is 0; missing where all are missing. The task ``No Finding`` does not count
        as a finding.
    """
    findings = [name for name in cohort.columns if name.startswith(PREFIX)]
    shown = [name for name in findings if name.lower() != "y_no finding"]
    words = [name.removeprefix(PREFIX).replace("_", " ").lower() for name in shown]
    texts = [
        _enumerate([word for word, value in zip(words, row, strict=True) if value == 1])
        for row in cohort[shown].to_numpy()
    ]
    known = cohort[findings].notna().any(axis=1)
    return pd.Series(texts, index=cohort.index, dtype="str").where(known)


def write_captions(description: str, templates: tuple[str, ...]) -> list[str]:
    """Return the templates with the description inserted."""
    return [template.format(description) for template in templates]


def _enumerate(words: list[str]) -> str:
    if not words:
        return NONE
    *front, last = words
    return f"{', '.join(front)} and {last}" if front else last
