"""Inputs of `compare` for an invented study of searches, with planted skills, drops and masks."""

from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.core.audit_tables import DIALECTS, SEARCH
from medaudit.core.seeds import generator
from medaudit.core.table_io import METRICS, PREDICTIONS, write_array, write_json, write_table
from synthetic_study import EVALUATION, card, metrics_frame, run_gaps, write_gaps

TABLES = ("search_claims", "results", "averages", "rank_tests", "masked_pretraining")
TABLES += ("overlapping", "ablation", "search", "search_costs")
FIGURES = ("critical_difference", "mask_frequencies", "group_curves", "search_trajectories")
FIGURES += ("bit_stability",)
DRAWS, TRIALS, EPOCHS = 200, 12, 8
GROUPS = {
    "sex": ["female", "male"],
    "age_group": ["<=60", ">60"],
    "skin_type": ["types 1-3", "types 4-6"],
    "race": ["asian or white", "black"],
    "age_group & sex": ["<=60 & female", "<=60 & male", ">60 & female", ">60 & male"],
}
COHORTS = {
    "fitzpatrick17k_skin_type": ("fitzpatrick17k", "skin_type"),
    "ham10000_age": ("ham10000", "age_group"),
    "ham10000_sex": ("ham10000", "sex"),
    "papila_age": ("papila", "age_group"),
    "papila_sex": ("papila", "sex"),
    "ol3i_age": ("ol3i", "age_group"),
    "ol3i_sex": ("ol3i", "sex"),
    "oasis_age": ("oasis", "age_group"),
    "oasis_sex": ("oasis", "sex"),
    "harvard_gf3300_age": ("harvard_gf3300", "age_group"),
    "harvard_gf3300_sex": ("harvard_gf3300", "sex"),
    "harvard_gf3300_race": ("harvard_gf3300", "race"),
    "chexpert_age": ("chexpert", "age_group"),
    "chexpert_sex": ("chexpert", "sex"),
}
CROSSED = {"chexpert_age_sex": ("chexpert", "age_group & sex")}
OBJECTIVE = {"metric": "auc_min", "attribute": None, "minimum": {"n": 10, "n_pos": 3, "n_neg": 3}}


def searched(space: str, **more: object) -> dict:
    """What `plan` tells `compare` of a method of kind search."""
    facts = {"kind": "search", "training": "erm", "space": space, "sampler": "tpe"}
    return {**facts, "objective": OBJECTIVE, "trials": TRIALS, **more}


METHODS = {
    "search_full": searched("full"),
    "search_linear": searched("linear"),
    "search_attention": searched("attention"),
    "search_layernorm": searched("layernorm"),
    "fairprune": searched("full", training="fairprune"),
    "fscl": searched("full", training="fscl"),
    "fairtune": searched("blocks36"),
    "random_masks": searched("blocks36", sampler="random"),
}
VARIANTS = {
    "fairtune_attention12": searched("attention12"),
    "fairtune_layernorm12": searched("layernorm12"),
    "fairtune_auc": searched("blocks36", objective={**OBJECTIVE, "metric": "auc"}),
    "fairtune_depth_first": searched("depth_first36"),
}
SKILL = {"search_linear": -0.06, "search_attention": 0.01, "search_layernorm": 0.005}
SKILL |= {"fairprune": -0.04, "fscl": -0.05, "fairtune": 0.04, "random_masks": 0.035}
SKILL |= {"fairtune_auc": 0.03, "fairtune_attention12": 0.02, "fairtune_layernorm12": 0.015}
LOSS = {"fairtune": 0.02, "random_masks": 0.025}
"""What the first group loses; 0.05 otherwise."""

MODELS = {
    "vit": {"kind": "timm", "family": "vit", "pretraining": {"objective": "supervised"}},
    "vit_mae": {"kind": "timm", "family": "vit", "pretraining": {"objective": "masked"}},
    "vit_scratch": {"kind": "timm", "family": "vit", "pretraining": {"objective": "none"}},
}
LAYOUT = {"units": [f"blocks.{k}" for k in range(12)], "components": ["norms", "attention", "mlp"]}


def make_searches(
    folder: Path, cohorts: tuple[str, ...] = tuple(COHORTS), phantom: bool = True
) -> dict:
    """Write the study's inputs below `folder` and return the arguments of `compare`."""
    entry = {"title": "Searches", "question": "Does the searched mask help the worst group?"}
    entry |= {"cohorts": list(cohorts), "models": ["vit", "vit_scratch"], "methods": list(METHODS)}
    crosses = [
        (tuple(cohorts), ("vit",), tuple(METHODS)),
        (tuple(cohorts), ("vit_scratch",), ("search_full",)),
        (tuple(cohorts), ("vit_mae",), ("search_full", "fairtune")),
        (tuple(cohorts), ("vit",), tuple(VARIANTS)),
        (tuple(CROSSED), ("vit", "vit_mae"), ("search_full", "fairtune")),
    ]
    names = ("cohorts", "models", "methods")
    entry["also"] = [dict(zip(names, map(list, cross), strict=True)) for cross in crosses[1:]]
    entry |= {"tables": list(TABLES), "figures": list(FIGURES)}
    known = {**COHORTS, **CROSSED}
    made: dict[str, list] = {name: [] for name in ("metrics", "gaps", "dialects")}
    made |= {"predictions": [], "searches": [], "cards": []}
    for where, models, methods in crosses:
        for run in ((c, m, k) for c in where for m in models for k in methods):
            _write_run(folder, run, known[run[0]], made)
    for name in [*cohorts, *CROSSED]:
        dataset, attribute = known[name]
        made["cards"].append(folder / "cohort" / f"{name}.json")
        parts = attribute.split(" & ")
        more = {"dataset": dataset, "attributes": [parts if len(parts) > 1 else attribute]}
        groups = {"all": ["all"], attribute: GROUPS[attribute]}
        write_json({**card(name, groups, phantom), **more}, made["cards"][-1])
    evaluation = {**EVALUATION, "metrics": ["auc"], "gaps": ["max_min"]}
    settings = {"study": "fairtune", "entry": entry, "evaluation": evaluation}
    return {
        "settings": {**settings, "methods": {**METHODS, **VARIANTS}, "models": MODELS},
        **made,
        "output": folder / "compare" / "fairtune.csv",
        "tables": folder / "tables" / "fairtune",
        "figures": folder / "figures" / "fairtune",
    }


def truth(run: tuple[str, str, str], group: int) -> float:
    """The AUC that a group has in a run, but for noise."""
    cohort, model, method = run
    start = 0.72 + generator("level", cohort).uniform(0, 0.12)
    known = {"vit": 0.0, "vit_mae": -0.01, "vit_scratch": -0.12}[model]
    return start + known + SKILL.get(method, 0) - (0 if group else LOSS.get(method, 0.05))


def _write_run(folder: Path, run: tuple, what: tuple[str, str], made: dict) -> None:
    frame, draws = run_metrics(run, what)
    stem = Path(*run)
    path = folder / "evaluate" / stem.parent / f"{stem.name}.csv"
    auc = frame["metric"].eq("auc").to_numpy()
    plain = frame[auc].reset_index(drop=True)
    write_table(plain, path, METRICS)
    write_array(draws[auc], path.with_suffix(".replicates.npy"))
    made["metrics"].append(path)
    path = folder / "disparity" / stem.parent / f"{stem.name}.csv"
    single = plain[plain["group"].ne("all")]
    write_gaps(run_gaps(single, draws[auc]).query("gap == 'max_min'"), path)
    made["gaps"].append(path)
    made["dialects"].append(_dialects(folder / "dialects" / stem, frame, draws))
    value = float(plain.loc[plain["group"].ne("all") & plain["seed"].eq("mean"), "value"].min())
    made["predictions"].append(_predictions(folder / "predictions" / stem, run, what, value))
    made["searches"].append(_search(folder / "best_trial" / stem, run, what, value))


def run_metrics(run: tuple, what: tuple[str, str]) -> tuple[pd.DataFrame, np.ndarray]:
    """Values and replicates; what patients add is the same in all runs on a cohort."""
    rows, draws = [], []
    for attribute in ("all", what[1]):
        groups = ["all", *(GROUPS[attribute] if attribute != "all" else [])]
        for group in groups:
            k = GROUPS[what[1]].index(group) if group != "all" else 1
            for metric in ("auc", "tpr", "fpr", "selection_rate"):
                shared = generator("patients", run[0], attribute, group, metric)
                own = generator("own", *run, attribute, group, metric)
                base = truth(run, k) - (0.02 if group == "all" else 0)
                base = base if metric == "auc" else 0.4 + 0.05 * k + own.uniform(0, 0.05)
                value = base + shared.normal(0, 0.01) + own.normal(0, 0.002)
                moved = value + shared.normal(0, 0.012, DRAWS) + own.normal(0, 0.004, DRAWS)
                ends = np.quantile(moved, [0.025, 0.975])
                rows.append((*run, "mean", "sick", attribute, group, metric, value, *ends))
                rows[-1] += (500, 90, 400, "medaudit", "ok")
                draws.append(moved)
    return metrics_frame(rows), np.array(draws, np.float32)


def _dialects(stem: Path, frame: pd.DataFrame, draws: np.ndarray) -> Path:
    """FairTune's measures of the groups; the interval is the value and two standard deviations."""
    groups = frame["group"].ne("all").to_numpy()
    by_metric = {
        metric: (frame.loc[kept, "value"].to_numpy()[:, None], draws[kept])
        for metric in ("auc", "tpr", "fpr", "selection_rate")
        if (kept := groups & frame["metric"].eq(metric).to_numpy()).any()
    }
    whole = {metric: np.hstack(parts) for metric, parts in by_metric.items()}
    spread = {metric: np.ptp(values, axis=0) for metric, values in whole.items()}
    odds, rate = np.maximum(spread["tpr"], spread["fpr"]), spread["selection_rate"]
    found = {
        ("min AUC", "higher"): whole["auc"].min(axis=0),
        ("gap AUC", "lower"): spread["auc"],
        **{(f"EOddsD ({name})", "lower"): odds for name in ("fairlearn", "argmax")},
        **{(f"DPD ({name})", "lower"): rate for name in ("fairlearn", "argmax")},
    }
    first = frame[groups].iloc[0]
    n = len(whole["auc"])
    rows = [
        {name: first[name] for name in ("cohort", "model", "method", "seed", "task", "attribute")}
        | {"dialect": "FairTune", "measure": measure, "better": better, "value": values[0]}
        | {"low": values[0] - 2 * values.std(), "high": values[0] + 2 * values.std()}
        | {"n_groups": n, "n_estimable": n, "status": "ok"}
        for (measure, better), values in found.items()
    ]
    table = pd.DataFrame(rows, columns=list(DIALECTS.columns))
    table = table.astype(dict.fromkeys(("se", "null_mean", "null_q95", "p_value"), float))
    path = stem.parent / f"{stem.name}.csv"
    write_table(table, path, DIALECTS)
    moved = np.array([values[1:] for values in found.values()], np.float32)
    write_array(moved, path.with_suffix(".replicates.npy"))
    return path


def _predictions(stem: Path, run: tuple, what: tuple[str, str], value: float) -> Path:
    """A file whose footer has the refits: validation objective and groups by epoch."""
    chosen = []
    for seed in (0, 1, 2):
        noise = generator("refit", *run, seed)
        epochs = [
            {
                split: {
                    group: min(1.0, 0.6 + gain * np.sqrt(epoch / EPOCHS) - fall * (k == 0))
                    + noise.normal(0, 0.008)
                    for k, group in enumerate(GROUPS[what[1]])
                }
                for split, gain, fall in (("train", 0.38, 0.005), ("val", 0.22, 0.07))
            }
            for epoch in range(1, EPOCHS + 1)
        ]
        found = {"seed": seed, "learning_rate": 1e-3, "epoch": EPOCHS - seed}
        found["criterion"] = -(value + 0.03 - 0.01 * seed)
        if run[2] in ("search_full", "fairtune"):
            found["groups"] = epochs
        chosen.append(found)
    names = dict(zip(("cohort", "model", "method"), run, strict=True))
    runs = {"select": "objective", "chosen": chosen, "trials": []}
    frame = pd.DataFrame([("i", "test", "sick", 0, 1.0, 0.5)], columns=list(PREDICTIONS.columns))
    path = stem.parent / f"{stem.name}.parquet"
    write_table(frame, path, PREDICTIONS, **names, runs=runs)
    return path


def _search(stem: Path, run: tuple, what: tuple[str, str], value: float) -> Path:
    """What `select` writes; the best value lies 0.05 above that of test."""
    facts = {**METHODS, **VARIANTS}[run[2]]
    noise = generator("search", *run)
    free = facts["space"] in ("blocks36", "depth_first36", "attention12", "layernorm12")
    only = {"attention12": "attention", "layernorm12": "norms"}.get(facts["space"])
    parts = [(unit, part) for unit in LAYOUT["units"] for part in LAYOUT["components"]]
    best_bits = noise.random((TRIALS, 36)) < 0.5
    best_bits[-1, 0] = False  # the first norm is always frozen in the best mask
    best_bits[:, [only not in (None, part) for _, part in parts]] = False
    masks = ["".join(map(str, row.astype(int))) if free else facts["space"] for row in best_bits]
    values = np.sort(value + 0.05 - noise.exponential(0.03, TRIALS))
    values[-1] = value + 0.05
    states = ["pruned" if k % 3 == 1 else "complete" for k in range(TRIALS)]
    states[-1] = "complete"
    epochs = [2 if state == "pruned" else EPOCHS for state in states]
    seconds = [10.0 * n for n in epochs]
    table = pd.DataFrame(
        {"number": range(TRIALS), "state": states, "value": values, "learning_rate": 1e-3}
        | {"mask": masks, "epochs": epochs, "seconds": seconds}
        | {"processor_seconds": [1.5 * s for s in seconds], "worker": "0"}
    )
    whole = pd.Series(values).where([state == "complete" for state in states]).cummax().ffill()
    bits = [
        {"unit": unit, "component": part, "frequency": float(best_bits[-3:, b].mean())}
        | {"low": 0.2 * float(best_bits[-3:, b].mean()), "high": 1.0, "importance": None}
        | {"share": float(best_bits[:, b].mean())}
        for b, (unit, part) in enumerate(parts)
    ]
    result = dict(zip(("cohort", "model", "method"), run, strict=True))
    result |= {"point": {"mask": masks[-1], "learning_rate": 1e-3}, "number": TRIALS - 1}
    result |= {"value": float(values[-1]), "best": [None if np.isnan(v) else v for v in whole]}
    wanted = what[1].split(" & ")
    attribute = wanted if len(wanted) > 1 else what[1]
    result["objective"] = {**facts["objective"], "attribute": attribute, "direction": "maximize"}
    pruned = states.count("pruned")
    result["trials"] = {"complete": TRIALS - pruned, "pruned": pruned, "undefined": 1, "lost": 0}
    result["epochs"] = {"run": sum(epochs), "lost": 0, "without_pruning": TRIALS * EPOCHS}
    result |= {"seconds": sum(seconds), "processor_seconds": 1.5 * sum(seconds)}
    result |= {"bits": bits if free else [], **({"layout": LAYOUT} if free else {})}
    path = stem.parent / f"{stem.name}.json"
    write_json(result, path)
    whole_table = table.reindex(columns=list(SEARCH.columns))
    write_table(
        whole_table.astype({"pruning_ratio": float, "beta": float}),
        path.with_suffix(".csv"),
        SEARCH,
    )
    return path
