"""Inputs of `compare` for an invented study of foundation models, with planted differences."""

from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.core.seeds import generator
from medaudit.core.table_io import METRICS, write_array, write_json, write_table
from synthetic_study import EVALUATION, card, metrics_frame, run_gaps, write_gaps

TABLES = ("models", "claims", "pretraining_data", "pretraining_epochs", "pretraining_fraction")
TABLES += ("ensembles", "linear_against_full")
FIGURES = ("performance_fairness", "balanced", "relative_to_average", "disease_by_group")
PLAIN, BALANCED = "chexpert_plain", "chexpert_even"
SAME_SIZE = "chexpert_few"
KINDS = {BALANCED: "race_sex", SAME_SIZE: "same_size"}
"""How the training split of a cohort was drawn; ``none`` for others."""
TASKS = ("Atelectasis", "Edema", "Pleural Effusion")
GROUPS = {"all": ["all"], "sex": ["female", "male"], "race": ["asian", "black", "white"]}
LEVEL = {"none": 0.70, "natural": 0.76, "medical": 0.80}
LOSS = {"none": 0.03, "natural": 0.01, "medical": 0.04}
"""What women and black patients lose by the domain of pretraining; half of it when balanced."""
DRAWS = 200


def facts(family: str, objective: str, domain: str, **more: object) -> dict:
    """What `plan.model_facts` says of a model."""
    architecture = {"vit": "vit_base_patch16_224", "resnet": "resnetv2_152x2_bit"}[family]
    data = {"none": [], "natural": ["ImageNet-1K"], "medical": ["CheXpert"]}[domain]
    pretraining = {"objective": objective, "domain": domain}
    found = {"kind": "timm", "architecture": architecture, "family": family, **more}
    return {**found, "pretraining": pretraining, "pretraining_data": data}


def pretrained(algorithm: str, datasets: list[str], epochs: int, fraction: float = 1.0) -> dict:
    """What it says of weights that the run makes."""
    cohorts = [f"{name}_pretraining" for name in datasets]
    entry = {"algorithm": algorithm, "cohorts": cohorts, "datasets": datasets}
    return {**entry, "epochs": epochs, "fraction": fraction, "others": {"batch_size": 64}}


OWN = {
    "mae_medical": facts("vit", "masked", "medical"),
    "mae": facts("vit", "masked", "natural"),
    "moco_medical": facts("vit", "contrastive", "medical"),
    "moco": facts("vit", "contrastive", "natural"),
    "scratch_vit": facts("vit", "none", "none"),
    "remedis": facts("resnet", "contrastive", "medical"),
    "bit": facts("resnet", "supervised", "natural"),
    "scratch_resnet": facts("resnet", "none", "none"),
}
SERIES = {
    name: facts("vit", "masked", "medical", pretrained=entry)
    for name, entry in {
        "mae_nih": pretrained("mae", ["nih"], 800),
        "mae_both": pretrained("mae", ["chexpert", "nih"], 800),
        "mae_chexpert": pretrained("mae", ["chexpert"], 800),
        "mae_200": pretrained("mae", ["chexpert"], 200),
        "mae_30": pretrained("mae", ["chexpert"], 800, 0.3),
    }.items()
}
ENSEMBLES = {
    "ensemble_masked": {"kind": "ensemble", "family": None, "members": ["mae", "mae_medical"]},
    "ensemble_odd": {"kind": "ensemble", "family": None, "members": ["mae", "scratch_vit"]},
}
METHODS = {
    "probe": {"kind": "probe", "head": "linear"},
    "full_layer_decay": {"kind": "finetune", "tune": "full"},
}


def make_foundations(
    folder: Path, own: dict = OWN, test_of: dict | None = None, phantom: bool = True
) -> dict:
    """Write the study's inputs below `folder` and return the arguments of `compare`.

    `test_of` names the test set of each cohort; the same one by default.
    """
    test_of = test_of or {PLAIN: "t", BALANCED: "t"}
    others = {**SERIES, **ENSEMBLES} if own is OWN else {}
    models = {**own, **others}
    entry = {"title": "Foundation models", "question": "Is medical pretraining less fair?"}
    entry |= {"cohorts": [PLAIN], "models": list(own), "methods": ["full_layer_decay"]}
    aside, probed = list(others), [name for name in ("mae", "moco") if others]
    entry |= {"tables": list(TABLES), "figures": list(FIGURES)}
    entry["also"] = [
        {"cohorts": list(test_of), "models": list(own), "methods": ["full_layer_decay"]},
        {"cohorts": [PLAIN], "models": aside, "methods": ["full_layer_decay"]},
        {"cohorts": [PLAIN], "models": probed, "methods": ["probe"]},
    ]
    runs = [(c, m, "full_layer_decay") for c in test_of for m in own]
    runs += [(PLAIN, m, "full_layer_decay") for m in aside]
    runs += [(PLAIN, m, "probe") for m in probed]
    metrics, gaps = [], []
    for run in runs:
        frame, draws = _metrics(run, models[run[1]], test_of[run[0]])
        stem = "/".join(run)
        metrics.append(folder / "evaluate" / f"{stem}.csv")
        write_table(frame, metrics[-1], METRICS)
        write_array(draws, folder / "evaluate" / f"{stem}.replicates.npy")
        gaps.append(folder / "disparity" / f"{stem}.csv")
        single = frame[frame["group"].ne("all")]
        write_gaps(_with_mean_of_gaps(run_gaps(single, draws)), gaps[-1])
    cards = [folder / "cohort" / f"{name}.json" for name in test_of]
    for (name, test), path in zip(test_of.items(), cards, strict=True):
        kind = KINDS.get(name, "none")
        more = {"dataset": "chexpert", "balance": {"kind": kind}, "test_sha256": test}
        write_json({**card(name, GROUPS, phantom), **more}, path)
    settings = {"study": "how_fair", "entry": entry, "evaluation": EVALUATION}
    return {
        "settings": {**settings, "methods": METHODS, "models": models},
        "metrics": metrics,
        "gaps": gaps,
        "cards": cards,
        "output": folder / "compare" / "how_fair.csv",
        "tables": folder / "tables" / "how_fair",
        "figures": folder / "figures" / "how_fair",
    }


def truth(run: tuple[str, str, str], known: dict, group: str) -> float:
    """The AUC that a group has in a run, but for noise."""
    domain = known.get("pretraining", {}).get("domain", "natural")
    loss = LOSS[domain] * (0.5 if run[0] == BALANCED else 1) if group in ("female", "black") else 0
    masked = 0.01 if known.get("pretraining", {}).get("objective") == "masked" else 0
    return LEVEL[domain] + masked - loss - (0.05 if run[2] == "probe" else 0)


def _metrics(run: tuple, known: dict, test: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Values and replicates; what patients add is the same in all runs on a test set."""
    places = [(a, g) for a, groups in GROUPS.items() for g in dict.fromkeys(("all", *groups))]
    rows, draws = [], []
    for attribute, group in places:
        values, drawn = [], []
        for task in TASKS:
            shared = generator("patients", test, task, attribute, group)
            own = generator("own", *run, task, attribute, group)
            value = truth(run, known, group) + shared.normal(0, 0.004) + own.normal(0, 0.001)
            values.append(value)
            drawn.append(value + shared.normal(0, 0.012, DRAWS) + own.normal(0, 0.002, DRAWS))
        values.append(np.mean(values))
        drawn.append(np.mean(drawn, axis=0))
        for task, value, moved in zip((*TASKS, "mean"), values, drawn, strict=True):
            ends = np.quantile(moved, [0.025, 0.975])
            for seed in ("0", "mean"):
                rows.append((*run, seed, task, attribute, group, "auc", value, *ends))
                rows[-1] += (500, 90, 400, "medaudit", "ok")
                draws.append(moved)
    return metrics_frame(rows), np.array(draws, np.float32)


def _with_mean_of_gaps(gaps: pd.DataFrame) -> pd.DataFrame:
    single = gaps[gaps["task"].isin(TASKS)]
    key = ["cohort", "model", "method", "seed", "attribute", "gap", "metric"]
    numbers = ["value", "low", "high", "null_mean", "null_q95", "p_value"]
    means = single.groupby(key, sort=False)[numbers].mean().reset_index()
    rest = single.drop_duplicates(key)[[*key, "n_groups", "n_estimable", "dialect", "status"]]
    means = means.merge(rest, on=key).assign(task="mean_of_gaps")
    return pd.concat([gaps, means], ignore_index=True).reindex(columns=gaps.columns)
