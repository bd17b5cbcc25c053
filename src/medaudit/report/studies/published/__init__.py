"""Numbers that papers printed, to stand beside ours.

One file a study, named as it: ``cohort, model, method`` (ours; blank where the paper does not say),
``dialect, measure, attribute`` (as in `medaudit.core.audit_tables.DIALECTS`), ``value`` (a share, where the
paper prints per cent), ``note``. They are the papers' claims about the papers' own images.

``clip_nih.csv``: "Fairness Analysis of CLIP-Based Foundation Models for X-Ray Image
Classification", arXiv 2501.19086. Taken from a secondary summary, not from the paper's tables:
check them against the paper before relying on them.

``how_fair.csv``: Khan, Afzal, Mirza, Fang, "How Fair are Medical Imaging Foundation
Models?"; its tables 2 to 6, transcribed as printed and divided by 100. Two more columns say what a row is,
whatever its models are called here: ``table``, ours, and ``row``, the key of that table
(`medaudit.report.tables.pretraining`, `medaudit.report.tables.ensembles`).

``fairtune.csv``: Dutt, Bohdal, Tsaftaris, Hospedales, "FairTune: Optimizing Parameter Efficient Fine
Tuning for Fairness in Medical Image Analysis", ICLR 2024; its tables 1 to 6, misprints kept.
``method`` is what was trained (`medaudit.report.studies.fairtune_comparisons.arm_of`), ``row`` the dataset (or
``average``, ``rank``: the mean rank, 1 is best) and the pretraining.
"""

from pathlib import Path

import pandas as pd

KEY = ["cohort", "model", "method", "dialect", "measure", "attribute"]
SOURCES = {
    "clip_nih": "arXiv 2501.19086, from a secondary summary",
    "how_fair": "Khan et al., How Fair are Medical Imaging Foundation Models?, tables 2 to 6",
    "fairtune": "Dutt et al., FairTune, ICLR 2024, tables 1 to 6",
}


def read_published(study: str) -> pd.DataFrame:
    """Return the published numbers of a study: `KEY`, ``value``, ``note``; empty if none."""
    if study not in SOURCES:
        return pd.DataFrame(columns=[*KEY, "value", "note"])
    path = Path(__file__).with_name(f"{study}.csv")
    text = dict.fromkeys((*KEY, "note", "table", "row"), "str")
    return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
