"""Tables of how models were pretrained, and of what more pretraining does."""

import json

import pandas as pd

from medaudit.config.grids import names_of
from medaudit.report.studies import how_fair_models
from medaudit.report.studies.evidence import Evidence
from medaudit.report.studies.extras import Extras
from medaudit.report.tables.foundation_columns import summary_table
from medaudit.report.tables.table import Column, Table

SAME = {"data": "datasets", "epochs": "number of epochs", "fraction": "fraction of the patients"}


def models(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """Every model of the study that is no ensemble: architecture and pretraining."""
    there = set(evidence.runs["model"])
    rows = [
        _describe(extras, name)
        for name in names_of(evidence.entry, "models")
        if name in extras.models and name in there and not how_fair_models.is_ensemble(extras, name)
    ]
    if not rows:
        return None
    return Table(
        "models",
        "The models and how they were pretrained",
        "Procedural: images drawn by rules that stand in for photographs. Ensembles are left out.",
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


def _describe(extras: Extras, model: str) -> dict:
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


def pretraining_data(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """Models that differ in the datasets they were pretrained on, and in nothing else."""
    label = (Column("data", "Pretrained on"),)
    return _amount("pretraining_data", "data", label, evidence, facts, extras)


def pretraining_epochs(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """Models that differ in the number of epochs of their pretraining, and in nothing else."""
    label = (Column("data", "Pretrained on"), Column("epochs", "Epochs", "count"))
    return _amount("pretraining_epochs", "epochs", label, evidence, facts, extras)


def pretraining_fraction(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """Models that differ in the share of the patients they saw, and in nothing else."""
    label = (Column("data", "Pretrained on"), Column("fraction", "Fraction", "number", 2))
    return _amount("pretraining_fraction", "fraction", label, evidence, facts, extras)


def _amount(
    name: str,
    factor: str,
    labels: tuple[Column, ...],
    evidence: Evidence,
    facts: pd.DataFrame,
    extras: Extras,
) -> Table | None:
    found = amounts(extras, evidence.runs["model"].unique(), factor)
    rows = evidence.runs.merge(found, on="model")
    together = rows.groupby(["cohort", "method", "series"])[factor]
    rows = rows[together.transform("nunique") > 1].copy()
    rows["trained"] = [how_fair_models.way(extras, method) for method in rows["method"]]
    order = ["cohort", "method", "series", "place"]
    ranks = {column: {v: k for k, v in enumerate(rows[column].unique())} for column in order[:2]}
    keys = rows[order].assign(**{c: rows[c].map(rank) for c, rank in ranks.items()})
    rows = rows.loc[keys.sort_values(order, kind="stable").index]
    return summary_table(
        name,
        f"More pretraining: {SAME[factor]}",
        f"Models pretrained by this run that differ in the {SAME[factor]} and, the "
        "warm-up apart, in nothing else.",
        rows,
        (Column("algorithm", "Algorithm"), *labels),
        evidence,
        facts,
    )


def amounts(extras: Extras, models: list[str], factor: str) -> pd.DataFrame:
    """Return the pretrained models in series along which one amount alone changes.

    Parameters
    ----------
    extras : Extras
        What is known of the models.
    models : list of str
        Names; those that the run did not pretrain are passed over.
    factor : str
        ``data``, ``epochs`` or ``fraction``. ``data`` are the datasets, for models without procedural images.

    Returns
    -------
    pandas.DataFrame
        ``model``, ``algorithm``, ``data``, ``epochs``, ``fraction``, ``series`` (its number), ``place`` (in rising order of
        the amount), ``row`` (key of the published row). Series of one amount are left out.
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


def _amounts_of(entry: dict) -> dict:
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


def _row_key(row: dict, factor: str) -> str:
    keys = {
        "data": f"{row['algorithm']} {row['data']}",
        "epochs": f"{row['epochs']}",
        "fraction": f"{row['data']} {row['fraction']:g}",
    }
    return keys[factor]
