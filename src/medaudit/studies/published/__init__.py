"""Numbers that papers printed, to stand beside ours.

One file a study, named as it: ``cohort, model, method`` (ours; blank where the paper does not say),
``dialect, measure, attribute`` (as in `medaudit.derived.DIALECTS`), ``value`` (a share, where the
paper prints per cent), ``note``. They are the papers' claims about the papers' own images.

``clip_nih.csv``: "Fairness Analysis of CLIP-Based Foundation Models for X-Ray Image
Classification", arXiv 2501.19086. Taken from a secondary summary, not from the paper's tables:
check them against the paper before relying on them.
"""

from pathlib import Path

import pandas as pd

KEY = ["cohort", "model", "method", "dialect", "measure", "attribute"]
SOURCES = {"clip_nih": "arXiv 2501.19086, from a secondary summary"}


def read_published(study: str) -> pd.DataFrame:
    """Return the published numbers of a study: `KEY`, ``value``, ``note``; empty if none."""
    if study not in SOURCES:
        return pd.DataFrame(columns=[*KEY, "value", "note"])
    path = Path(__file__).with_name(f"{study}.csv")
    text = dict.fromkeys((*KEY, "note"), "str")
    return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
