"""Drawn scores of one model at two sites, with a planted change that harms women elsewhere."""

import numpy as np
import pandas as pd
from scipy.special import expit

from medaudit.metrics.group_audit import audit
from medaudit.report.studies.evidence import Evidence

METRICS = ["auc", "tpr", "fpr", "ece"]
HOME, PAIR = "a", "a_to_b"


def evaluation(draws: int = 200) -> dict:
    return {
        "metrics": METRICS,
        "gaps": ["max_min"],
        "threshold": {"rule": "youden"},
        "bootstrap": {"draws": draws, "level": 0.95},
        "minimum": {"n": 10, "n_pos": 3, "n_neg": 3},
        "ece_bins": 10,
        "margins": {},
    }


def settings(cohort: str, draws: int = 200) -> dict:
    names = {"cohort": cohort, "model": "m", "method": "f", "task_type": "binary"}
    evaluated = {"tasks": ["Edema"], "attributes": ["sex"], "evaluation": evaluation(draws)}
    return {**names, **evaluated}


def site(
    rng: np.random.Generator,
    name: str,
    sizes: dict[str, int],
    *,
    lower: float = 0.0,
    fainter: float = 0.0,
    prevalence: float = 0.4,
    old: float = 0.5,
    older: float = 0.0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return cohort and predictions of one site.

    Parameters
    ----------
    rng : Generator
        Of all draws.
    name : str
        Start of the ids.
    sizes : dict
        Images per split.
    lower : float
        Subtracted from the logit of every woman: the threshold cuts elsewhere, the order stays.
    fainter : float
        Subtracted from the logit of women with the finding: the order gets worse.
    prevalence, old : float
        Shares of positives, and of patients of 70 years (others are 30).
    older : float
        Subtracted from the logit of old patients with the finding.
    """
    n = sum(sizes.values())
    female, y, age = (rng.random(n) < share for share in (0.5, prevalence, old))
    logit = rng.normal(size=n) + 1.8 * y - 0.9
    logit = logit - lower * female - fainter * (female & y) - older * (age & y)
    ids = [f"{name}{k}" for k in range(n)]
    frame = pd.DataFrame({"image_id": ids, "patient_id": ids, "path": ids, "view": "PA"})
    frame["age"] = np.where(age, 70.0, 30.0)
    frame["split"] = np.repeat(list(sizes), list(sizes.values()))
    frame["y_Edema"] = y.astype(float)
    frame["a_sex"] = np.where(female, "female", "male")
    scores = pd.DataFrame({"image_id": ids, "split": frame["split"], "task": "Edema", "seed": 0})
    return frame, scores.assign(y=y.astype(float), score=expit(logit))


def two_sites(seed: int, n: tuple[int, int] = (400, 400), local: int = 0, **shift) -> dict:
    """Return (cohort, predictions) of home and of the pair, by cohort; the planted change is there."""
    rng = np.random.default_rng(seed)
    home = site(rng, "a", {"val": 600, "test": n[0]}, **shift.pop("home", {}))
    away = site(rng, "b", {"test": n[1], **({"local": local} if local else {})}, **shift)
    val = [part[part["split"] == "val"] for part in home]
    pair = tuple(
        pd.concat([old, new], ignore_index=True) for old, new in zip(val, away, strict=True)
    )
    return {HOME: home, PAIR: pair}


def evidence_of(sites: dict, draws: int = 200, models: dict | None = None) -> Evidence:
    """Return the merged audit of both places, of one model or of several (by name)."""
    tables, files = [], []
    for model, found in (models or {"m": sites}).items():
        for name, (cohort, predictions) in found.items():
            given = {**settings(name, draws), "model": model}
            metrics, drawn = audit(predictions, cohort, given)
            rows = metrics.assign(measure=metrics["metric"], file=len(files))
            tables.append(rows.assign(row=np.arange(len(metrics))))
            files.append(drawn)
    cards = {
        HOME: {"name": HOME, "tasks": ["Edema"], "test_sha256": "1"},
        PAIR: {"name": PAIR, "tasks": ["Edema"], "test_sha256": "2", "external": {"home": HOME}},
    }
    entry = {"cohorts": [HOME, PAIR], "models": list(models or ["m"]), "methods": ["f"]}
    metrics = pd.concat(tables, ignore_index=True)
    return Evidence("s", entry, evaluation(draws), metrics, pd.DataFrame(), cards, files)
