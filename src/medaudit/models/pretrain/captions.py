"""Captions from a table of findings. Sex, age and all other attributes stay out of them."""

import pandas as pd

NONE = "no finding"
PREFIX = "y_"


def describe_findings(cohort: pd.DataFrame) -> pd.Series:
    """Return what each image shows, e.g. ``cardiomegaly and edema``.

    Parameters
    ----------
    cohort : pandas.DataFrame
        With ``y_<task>`` columns of 1, 0 and missing.

    Returns
    -------
    pandas.Series
        Text in the order of the columns, lower case; ``no finding`` where none is 1 and at least
        one is 0; missing where all are missing. The task ``No Finding`` is no finding itself.
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
    """Put a description into each template."""
    return [template.format(description) for template in templates]


def _enumerate(words: list[str]) -> str:
    if not words:
        return NONE
    *front, last = words
    return f"{', '.join(front)} and {last}" if front else last
