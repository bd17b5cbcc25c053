"""What a study can have beside metrics and gaps, invented to go with `synthetic_study`."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from evaluate_case import make_case, make_settings
from medaudit.audit.dialects import score_run
from medaudit.audit.sensitivity import ask
from medaudit.core.audit_tables import DIALECTS, PARTS, PROBES, SENSITIVITY
from medaudit.core.seeds import generator
from medaudit.core.table_io import METRICS, PREDICTIONS, read_table, write_array, write_table
from medaudit.report.studies.evidence import replicates_of

METHODS = {
    "zero_shot_clip": {"kind": "zero_shot", "format": "clip"},
    "zero_shot_gloria": {"kind": "zero_shot", "format": "gloria"},
    "linear": {"kind": "probe"},
    "mlp": {"kind": "probe"},
    "lora_r4": {"kind": "finetune", "tune": "lora", "lora": {"rank": 4}},
    "lora_r16": {"kind": "finetune", "tune": "lora", "lora": {"rank": 16}},
    "full": {"kind": "finetune", "tune": "full"},
}


def add_extras(study: dict, folder: Path, tables: tuple = (), figures: tuple = ()) -> dict:
    """Return the arguments of `compare` with everything that the named tables and figures need."""
    entry = {**study["settings"]["entry"], "tables": list(tables), "figures": list(figures)}
    methods = {name: METHODS.get(name, {}) for name in entry["methods"]}
    made = {"dialects": [], "parts": [], "probes": [], "predictions": [], "sensitivity": []}
    for path in study["metrics"]:
        run = tuple(read_table(path, METRICS)[["cohort", "model", "method"]].iloc[0])
        made["dialects"].append(_dialects(path, folder / "dialects" / Path(*run)))
        made["parts"].append(_parts(run, folder / "gap_decomposition" / Path(*run)))
        made["sensitivity"].append(_sensitivity(run, folder / "sensitivity" / Path(*run)))
        made["predictions"].append(_predictions(run, folder / "predictions" / Path(*run)))
    for run in product(entry["cohorts"], entry["models"]):
        made["probes"].append(_probes(run, folder / "attribute_probes" / Path(*run)))
    settings = {**study["settings"], "entry": entry, "methods": methods}
    return {**study, "settings": settings, **made}


def _dialects(metrics: Path, stem: Path) -> Path:
    rows, drawn = read_table(metrics, METRICS), np.load(replicates_of(metrics))
    null = generator("null", *stem.parts[-3:]).normal(0.7, 0.03, drawn.shape).astype(np.float32)
    table, moved = score_run(rows, drawn, "multiclass", null, 0.95)
    first = ~table.duplicated(list(DIALECTS.key)).to_numpy()  # one task is also the mean of tasks
    table, moved = table[first], moved[first]
    path = stem.parent / f"{stem.name}.csv"
    write_table(table, path, DIALECTS)
    write_array(moved, replicates_of(path))
    return path


def _parts(run: tuple, stem: Path) -> Path:
    rows = []
    for metric, task in product(("tpr", "fpr"), ("Effusion", "Pneumothorax")):
        draw = generator("parts", *run, metric, task).normal(0, 0.03, 3)
        values = {"ranking": draw[0], "calibration": draw[1], "threshold": draw[2]}
        for part, value in {"gap": draw.sum(), **values}.items():
            rows.append((*run, "mean", task, "sex", "female", metric, part, value, value - 0.05))
            rows[-1] += (value + 0.05, 50, 20, 50, 21, "ok")
    frame = pd.DataFrame(rows, columns=list(PARTS.columns))
    path = stem.parent / f"{stem.name}.csv"
    write_table(frame, path, PARTS)
    return path


def _sensitivity(run: tuple, stem: Path) -> Path:
    case, settings = make_case(n=400, seeds=1, seed=len(run[2])), make_settings(attributes=["sex"])
    names = dict(zip(("cohort", "model", "method"), run, strict=True))
    path = stem.parent / f"{stem.name}.csv"
    write_table(ask(*case, {**settings, **names}), path, SENSITIVITY)
    return path


def _probes(run: tuple, stem: Path) -> Path:
    rows = []
    for (attribute, group), probe in product(
        (("sex", "female"), ("age_group", "<60")), ("linear", "knn")
    ):
        value = generator("probe", *run, attribute, probe).uniform(0.5, 0.95)
        numbers = (value, value - 0.04, value + 0.04, 0.5, 0.56, 0.001)
        rows.append((*run, attribute, group, probe, *numbers, 240, 120, 240, "ok"))
    rows.append((*run, "race", "other", "linear", *[np.nan] * 6, 3, 1, 3, "too_few"))
    path = stem.parent / f"{stem.name}.csv"
    write_table(pd.DataFrame(rows, columns=list(PROBES.columns)), path, PROBES)
    return path


def footer_of(method: str, best: dict[int, list[float]]) -> dict:
    """The ``runs`` of a footer, as probes (or, for ``full`` and ``lora``, fine-tuning) write it."""
    rates = [0.001, 0.003, 0.01]
    chosen = [
        {"seed": seed, "learning_rate": rates[int(np.argmin(values))]}
        for seed, values in best.items()
    ]
    if METHODS.get(method, {}).get("kind") == "finetune":
        trials = [
            {"seed": seed, "learning_rate": rate, "criterion": value}
            for seed, values in best.items()
            for rate, value in zip(rates, values, strict=True)
        ]
        return {"select": "val_loss", "chosen": chosen, "trials": trials}
    for run, values in zip(chosen, best.values(), strict=True):
        run["best_by_learning_rate"] = values
    return {"select": "val_loss", "chosen": chosen, "learning_rates": rates}


def _predictions(run: tuple, stem: Path) -> Path:
    path = stem.parent / f"{stem.name}.parquet"
    frame = pd.DataFrame(
        [("i", "test", "Effusion", 0, 1.0, 0.5)], columns=list(PREDICTIONS.columns)
    )
    names = dict(zip(("cohort", "model", "method"), run, strict=True))
    if METHODS.get(run[2], {}).get("kind") != "zero_shot":
        random = generator("rates", *run)
        best = {seed: list(random.uniform(0.9, 1.2, 3)) for seed in (0, 1)}
        names["runs"] = footer_of(run[2], best)
    write_table(frame, path, PREDICTIONS, **names)
    return path
