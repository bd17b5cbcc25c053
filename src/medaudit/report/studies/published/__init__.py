"""Published numbers of three papers, shown next to ours.

One file per study, of the same name. Columns: ``cohort, model, method`` (our names; blank where the
paper does not state them), ``dialect, measure, attribute`` (as in
`medaudit.core.audit_tables.DIALECTS`), ``value`` (a fraction, also where the paper prints per
cent), ``note``. They are the papers' claims about the papers' own images.

``clip_nih.csv``: "Fairness Analysis of CLIP-Based Foundation Models for X-Ray Image
Classification", arXiv 2501.19086. The numbers are from a secondary summary, not from the paper's
tables: check them against the paper before you rely on them.

``how_fair.csv``: Khan, Afzal, Mirza, Fang, "How Fair are Medical Imaging Foundation Models?", tables
2 to 6, transcribed as printed and divided by 100. Two more columns identify a row, whatever its
models are called here: ``table`` (our name) and ``row``, the key of that table
(`medaudit.report.tables.pretraining`, `medaudit.report.tables.ensembles`).

``fairtune.csv``: Dutt, Bohdal, Tsaftaris, Hospedales, "FairTune: Optimizing Parameter Efficient Fine
Tuning for Fairness in Medical Image Analysis", ICLR 2024, tables 1 to 6, misprints kept. ``method``
is the arm (`medaudit.report.studies.fairtune_comparisons.arm_of`); ``row`` is the dataset (or
``average``, or ``rank``: the mean rank, 1 is best) and the pretraining.
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
    """Return the published numbers of a study: `KEY`, ``value``, ``note``; empty without any."""
    if study not in SOURCES:
        return pd.DataFrame(columns=[*KEY, "value", "note"])
    path = Path(__file__).with_name(f"{study}.csv")
    text = dict.fromkeys((*KEY, "note", "table", "row"), "str")
    return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
