"""Tables of the models' pretraining, and of the effect of more pretraining."""

import json
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from medaudit.config.grids import names_of
from medaudit.report.studies import how_fair_models
from medaudit.report.studies.context import Context
from medaudit.report.studies.extras import Extras
from medaudit.report.tables.auc_and_gaps import auc_and_gaps_table
from medaudit.report.tables.table import Column, Table

VARIED = {"data": "datasets", "epochs": "epochs", "fraction": "fraction of patients"}
"""Amount of pretraining that differs, in words."""


def models(context: Context) -> Table | None:
    """Architecture and pretraining of every model of the study, without ensembles."""
    extras, present = context.extras, set(context.evidence.runs["model"])
    rows = [
        _describe(extras, name)
        for name in names_of(context.evidence.entry, "models")
        if name in present & set(extras.models) and not how_fair_models.is_ensemble(extras, name)
    ]
    if not rows:
        return None
    return Table(
        "models",
        "The models and their pretraining",
        "Procedural: generated images in place of photographs. Ensembles are not listed.",
        pd.DataFrame(rows),
        (
            Column("model", "Model"),
            Column("architecture", "Architecture"),
            Column("method", "Method"),
            Column("objective", "Type"),
            Column("images", "Images"),
            Column("datasets", "Datasets"),
        ),
    )


def _describe(extras: Extras, model: str) -> dict[str, Any]:
    facts = extras.models[model]
    domain = how_fair_models.domain(extras, model)
    stated = facts.get("pretraining", {}).get("method")
    data = facts.get("pretraining_data")
    scratch = domain == "none"
    return {
        "model": model,
        "architecture": facts.get("architecture") or facts.get("kind"),
        "family": how_fair_models.family(extras, model),
        "method": "from scratch" if scratch else stated or how_fair_models.UNKNOWN,
        "objective": how_fair_models.objective(extras, model).replace("_", "-"),
        "domain": domain,
        "images": "procedural" if how_fair_models.is_procedural(extras, model) else domain,
        "datasets": how_fair_models.UNKNOWN if data is None else ", ".join(data) or "none",
    }


def pretraining_data(context: Context) -> Table | None:
    """Models that differ only in the datasets of their pretraining."""
    label = (Column("data", "Pretrained on"),)
    return _amount("pretraining_data", "data", label, context)


def pretraining_epochs(context: Context) -> Table | None:
    """Models that differ only in the number of epochs of their pretraining."""
    label = (Column("data", "Pretrained on"), Column("epochs", "Epochs", "count"))
    return _amount("pretraining_epochs", "epochs", label, context)


def pretraining_fraction(context: Context) -> Table | None:
    """Models that differ only in the fraction of patients that they were pretrained on."""
    label = (Column("data", "Pretrained on"), Column("fraction", "Fraction", "number", 2))
    return _amount("pretraining_fraction", "fraction", label, context)


def _amount(name: str, factor: str, labels: tuple[Column, ...], context: Context) -> Table | None:
    """Return a table of the models that differ only in `factor`."""
    runs = context.evidence.runs
    rows = runs.merge(amounts(context.extras, runs["model"].unique().tolist(), factor), on="model")
    together = rows.groupby(["cohort", "method", "series"])[factor]
    rows = rows[together.transform("nunique") > 1].copy()
    trained = [how_fair_models.trained_part(context.extras, method) for method in rows["method"]]
    rows["trained"] = trained
    order = ["cohort", "method", "series", "place"]
    ranks = {column: {v: k for k, v in enumerate(rows[column].unique())} for column in order[:2]}
    keys = rows[order].assign(**{c: rows[c].map(rank) for c, rank in ranks.items()})
    rows = rows.loc[keys.sort_values(order, kind="stable").index]
    return auc_and_gaps_table(
        name,
        f"More pretraining: {VARIED[factor]}",
        f"Models pretrained by this run that differ only in {VARIED[factor]} (and the warm-up).",
        rows,
        (Column("algorithm", "Algorithm"), *labels),
        context,
    )


def amounts(extras: Extras, models: list[str], factor: str) -> pd.DataFrame:
    """Return series of pretrained models in which only one amount differs.

    Parameters
    ----------
    extras : Extras
        Facts about the models.
    models : list of str
        Names; models that this run did not pretrain are skipped.
    factor : str
        The amount: ``data`` (the datasets; models with procedural images are skipped), ``epochs``
        or ``fraction``.

    Returns
    -------
    pandas.DataFrame
        ``model``, ``algorithm``, ``data``, ``epochs``, ``fraction``, ``series`` (number),
        ``place`` (rising with the amount), ``row`` (key of the published row). Series with only
        one value of the amount are left out.
    """
    rows = [
        {"model": name, **_amounts_of(extras.models[name]["pretrained"])}
        for name in models
        if extras.models.get(name, {}).get("pretrained")
    ]
    columns = ["model", "algorithm", "data", "epochs", "fraction", "series", "place", "row"]
    frame = pd.DataFrame(rows)
    if frame.empty:
        return pd.DataFrame(columns=columns)
    if factor == "data":
        frame = frame[~frame["data"].str.contains("procedural")]
    varied = {"data": "cohorts"}.get(factor, factor)
    fixed = ["algorithm", "others", "cohorts", "epochs", "fraction"]
    fixed.remove(varied)
    several = frame.groupby(fixed)[factor].transform("nunique") > 1
    frame = frame[several].copy()
    frame["series"] = frame.groupby(fixed, sort=False).ngroup()
    frame["place"] = frame["n_data"] if factor == "data" else frame[factor]
    frame["row"] = [_row_key(row, factor) for row in frame.to_dict("records")]
    return frame[columns]


def _amounts_of(entry: dict[str, Any]) -> dict[str, Any]:
    procedural = ["procedural"] if entry.get("procedural") else []
    sources = [*entry.get("datasets", []), *procedural]
    return {
        "algorithm": entry["algorithm"],
        "others": json.dumps(entry.get("others"), sort_keys=True),
        "cohorts": json.dumps([entry.get("cohorts"), entry.get("procedural")], sort_keys=True),
        "data": " ".join(sources),
        "n_data": len(sources),
        "epochs": entry["epochs"],
        "fraction": float(entry["fraction"]),
    }


def _row_key(row: Mapping[Hashable, Any], factor: str) -> str:
    keys = {
        "data": f"{row['algorithm']} {row['data']}",
        "epochs": f"{row['epochs']}",
        "fraction": f"{row['data']} {row['fraction']:g}",
    }
    return keys[factor]
