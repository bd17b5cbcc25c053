"""Valid inputs of `compare`: metrics, replicates, gaps and cards of an invented study."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.core.audit_tables import has_permutations
from medaudit.core.seeds import generator
from medaudit.core.table_io import GAPS, METRICS, write_array, write_json, write_table
from medaudit.report.report import report
from medaudit.report.studies.evidence import null_of

GROUPS = {
    "all": ["all"],
    "sex": ["female", "male"],
    "age_group": ["<60", ">=60"],
    "sex & age_group": ["female & <60", "female & >=60", "male & <60", "male & >=60"],
}
TASKS = ("Cardiomegaly", "Effusion", "Pneumothorax")
MEASURES = {"auc": "mean", "accuracy": "all", "f1": "mean", "ece": "mean"}
EVALUATION = {
    "metrics": list(MEASURES),
    "gaps": ["max_min", "worst_rest"],
    "bootstrap": {"draws": 200, "level": 0.95},
    "null": {"draws": 200},
}
FILLED = [
    *("cohort", "model", "method", "seed", "task", "attribute", "group", "metric"),
    *("value", "low", "high", "n", "n_pos", "n_patients", "dialect", "status"),
]
"""Columns of metrics that an invented study has; the others are empty."""
NOTE = "Race was drawn at random at the published shares."


def make_study(
    folder: Path,
    name: str = "demo",
    cohorts: tuple[str, ...] = ("cells",),
    models: tuple[str, ...] = ("pixels", "vit_random"),
    methods: tuple[str, ...] = ("linear", "mlp"),
    tasks: tuple[str, ...] = TASKS,
    groups: dict[str, list[str]] = GROUPS,
    phantom: bool = True,
    too_few: str | None = "male & <60",
) -> dict:
    """Write one study's inputs below `folder` and return the arguments of `compare`."""
    metrics, gaps = [], []
    for run in product(cohorts, models, methods):
        frame, draws = run_metrics(*run, tasks, groups, too_few)
        stem = "/".join(run)
        metrics.append(folder / "evaluate" / f"{stem}.csv")
        write_table(frame, metrics[-1], METRICS)
        write_array(draws, folder / "evaluate" / f"{stem}.replicates.npy")
        gaps.append(folder / "disparity" / f"{stem}.csv")
        write_gaps(run_gaps(frame, draws), gaps[-1])
    cards = [folder / "cohort" / f"{cohort}.json" for cohort in cohorts]
    for cohort, path in zip(cohorts, cards, strict=True):
        write_json(card(cohort, groups, phantom), path)
    entry = {"title": "Invented runs", "question": "Does it treat groups alike?"}
    entry |= {"cohorts": list(cohorts), "models": list(models), "methods": list(methods)}
    return {
        "settings": {"study": name, "entry": entry, "evaluation": EVALUATION},
        "metrics": metrics,
        "gaps": gaps,
        "cards": cards,
        "output": folder / "compare" / f"{name}.csv",
        "tables": folder / "tables" / name,
        "figures": folder / "figures" / name,
    }


def run_metrics(
    cohort: str, model: str, method: str, tasks: tuple, groups: dict, too_few: str | None
) -> tuple[pd.DataFrame, np.ndarray]:
    """Metrics of one run and their replicates; the noise of a group is shared by all runs."""
    skill = generator("skill", model, method).uniform(-0.08, 0.08)
    rows, draws = [], []
    for metric, whole in MEASURES.items():
        for task, (attribute, names) in product(
            dict.fromkeys((*tasks, "mean", whole)), groups.items()
        ):
            for group, seed in product(names, ("0", "1", "mean")):
                shift = generator("shift", model, method, task, group, metric).normal(0, 0.02)
                noise = generator("noise", cohort, task, group, metric).normal(0, 0.03, 200)
                own = generator("own", model, method, task, group, seed, metric)
                worse = -0.06 if "female" in group else 0
                value = np.clip(0.78 + skill + shift + worse + own.normal(0, 0.004), 0, 1)
                value = value / 5 if metric == "ece" else value
                drawn = np.clip(value + noise + own.normal(0, 0.01, 200), 0, 1)
                status = "too_few" if group == too_few else "ok"
                bounds = np.quantile(drawn, [0.025, 0.975])
                numbers = [value, *bounds] if status == "ok" else [np.nan] * 3
                rows.append([cohort, model, method, seed, task, attribute, group, metric, *numbers])
                rows[-1] += [100 if group == "all" else 25, 30, 90, "medaudit", status]
                draws.append(drawn if status == "ok" else np.full(200, np.nan))
    return metrics_frame(rows), np.array(draws, dtype=np.float32)


def metrics_frame(rows: list) -> pd.DataFrame:
    """Metrics with the columns `FILLED`, and the others of the schema empty."""
    return pd.DataFrame(rows, columns=FILLED).reindex(columns=list(METRICS.columns))


def run_gaps(frame: pd.DataFrame, draws: np.ndarray) -> pd.DataFrame:
    """Gaps of one run: largest less smallest value of the estimable groups."""
    key = ["cohort", "model", "method", "seed", "task", "attribute"]
    rows = []
    kept = frame[frame["attribute"] != "all"]
    for names, part in kept.groupby([*key, "metric"], sort=False):
        ok = part[part["status"] == "ok"]
        spread = np.ptp(draws[ok.index], axis=0) if len(ok) > 1 else np.full(200, np.nan)
        value = np.ptp(ok["value"]) if len(ok) > 1 else np.nan
        low, high = np.quantile(spread, [0.025, 0.975])
        p = float(np.clip(0.5 - 6 * value, 0.001, 1))
        known = np.isfinite(value)
        upper = np.quantile(spread, 0.95)
        numbers = [value, low, high, upper, 0.03, 0.065, p, 0.09] if known else [np.nan] * 8
        ranked = ok.sort_values("value")["group"].tolist()
        ends = [ranked[0], ranked[-1]] if known else [None, None]
        tail = [*ends, "separation", "ok", len(part), len(ok), 240, 240]
        tail += ["medaudit", "ok" if known else "too_few"]
        for gap in ("max_min", "worst_rest"):
            rows.append([*names[:-1], gap, names[-1], *numbers, *tail])
    return pd.DataFrame(rows, columns=list(GAPS.columns))


def write_gaps(gaps: pd.DataFrame, path: Path) -> None:
    """Write gaps and the permutations beside them, of a fair model's gap of .03 on average."""
    write_table(gaps, path, GAPS)
    drawn = generator("null", path.stem).normal(
        0.03, 0.02, (int(has_permutations(gaps).sum()), 200)
    )
    write_array(drawn.astype(np.float32), null_of(path))


def gap_row(**changes) -> pd.Series:
    """A gap as a row of the facts, significant after adjusting."""
    row = {"attribute": "sex", "value": 0.1, "low": 0.05, "high": 0.2, "null_mean": 0.02}
    row |= {"null_q95": 0.04, "p_value": 0.001, "p_adjusted": 0.01, "family_size": 10}
    row |= {"worst": "female", "best": "male", "n_groups": 2, "n_estimable": 2, "status": "ok"}
    row |= {"smallest_detectable": 0.06, "model": "m", "method": "linear"}
    row |= {"lowest": "female", "lowest_value": 0.7, "highest": "male", "highest_value": 0.8}
    return pd.Series(row | changes)


def write_page(study: dict, config: dict, folder: Path, predictions: tuple[Path, ...] = ()) -> Path:
    """Write the report of a study that `compare` has been through, and return its page."""
    page = folder / "report.html"
    report(
        {"config": config},
        compare=[study["output"]],
        tables=[study["tables"]],
        figures=[study["figures"]],
        cards=study["cards"],
        predictions=list(predictions),
        output=page,
        run=folder / "run.json",
    )
    return page


def card(cohort: str, groups: dict, phantom: bool) -> dict:
    """A cohort's card."""
    counts = [
        {
            "split": split,
            "attribute": attribute,
            "group": group,
            "n_images": n,
            "n_patients": n - 3,
            "positive": dict.fromkeys(TASKS, n // 6),
            "known": dict.fromkeys(TASKS, n),
        }
        for split, n in (("train", 840), ("val", 120), ("test", 240))
        for attribute, names in groups.items()
        for group in names
    ]
    return {
        "name": cohort,
        "dataset": "nih",
        "builder": "balanced_cells",
        "task_type": "multiclass",
        "tasks": list(TASKS),
        "attributes": [name for name in groups if name != "all"],
        "age_threshold": 60,
        "age_rule": "ge",
        "seed": 77,
        "n_images": 1200,
        "n_patients": 1191,
        "counts": counts,
        "missing": {},
        "tables": {"labels": {"file": "Data_Entry_2017.csv", "sha256": "ab" * 32}},
        "exclusions": [
            {"reason": "age above 100: age set to missing", "count": 16},
            {"reason": "not exactly one of the findings", "count": 80123, "left": 31997},
            {"reason": "more than one image of a patient", "count": 30797, "left": 1200},
        ],
        "notes": [NOTE] if phantom else [],
        "phantom": phantom,
        "ids_sha256": "cd" * 32,
    }
