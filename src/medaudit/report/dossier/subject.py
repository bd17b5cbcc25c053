"""What a dossier is about: one model on one cohort, with the files that a run wrote about it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from medaudit.core.audit_tables import COMPARISON
from medaudit.core.documents import CohortCard, LintFinding
from medaudit.core.errors import MedauditError
from medaudit.core.margins import Margins
from medaudit.core.table_io import GAPS, METRICS, read_json, read_table


@dataclass(frozen=True)
class Subject:
    """One run of one study, and what its folder of results says about it.

    Parameters
    ----------
    results : Path
        The folder that `medaudit score` or the workflow wrote.
    study, cohort, model, method : str
        Names.
    record : dict
        ``run.json``.
    card : CohortCard
        Card of the cohort.
    metrics, gaps : pandas.DataFrame
        `METRICS` and `GAPS` of this run, of the mean over seeds.
    facts : pandas.DataFrame
        `COMPARISON` of the study.
    findings : list
        Of the protocol lint on the cohort.
    sources : dict of str to Path
        Where each of these was read: ``record``, ``card``, ``metrics``, ``gaps``, ``facts``,
        ``lint`` and, where there are any, ``sensitivity``, relative to `results`.
    n_seeds : int
        Number of seeds that `metrics` is a mean of.
    """

    results: Path
    study: str
    cohort: str
    model: str
    method: str
    record: dict[str, Any]
    card: CohortCard
    metrics: pd.DataFrame
    gaps: pd.DataFrame
    facts: pd.DataFrame
    findings: list[LintFinding]
    sources: dict[str, Path]
    n_seeds: int

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the run."""
        return self.record["config"]

    @property
    def margins(self) -> Margins:
        """The margins that the run was given."""
        return self.config.get("evaluation", {}).get("margins") or {}

    @property
    def level(self) -> float:
        """Level of the intervals."""
        return self.config["evaluation"]["bootstrap"]["level"]

    def summary(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of `metrics` or `gaps` that stand for all tasks, one task per metric.

        That is ``all`` (the multi-class decision), else the mean over tasks, else the only task.
        """
        rank = table["task"].map({"all": 0, "mean": 1}).fillna(2)
        best = rank.groupby(table["metric"]).transform("min")
        kept = table[rank.eq(best)]
        several = kept.groupby("metric")["task"].transform("nunique") > 1
        return kept[~several].reset_index(drop=True)


def find_subject(results: Path, wanted: dict[str, str | None]) -> Subject:
    """Return the run that `wanted` names; what is not named must have only one answer.

    Parameters
    ----------
    results : Path
        A finished folder of results.
    wanted : dict
        ``study``, ``cohort``, ``model`` and ``method``, each a name or None.

    Raises
    ------
    MedauditError
        The folder has no finished run, or several runs fit.
    """
    record_path = results / "run.json"
    if not record_path.is_file():
        raise MedauditError(
            f"{results} has no run.json: give the folder that `medaudit score --output` or the "
            "workflow wrote, after its report is finished"
        )
    record = read_json(record_path)
    runs = [run for study in record["config"]["run"] for run in _runs(results, study)]
    names = ("study", "cohort", "model", "method")
    for name in names:
        if wanted.get(name) is not None:
            known = list(dict.fromkeys(run[name] for run in runs))
            if wanted[name] not in known:
                raise MedauditError(
                    f"--{name} {wanted[name]}: {results} has no such {name}; it has {', '.join(known)}"
                )
            runs = [run for run in runs if run[name] == wanted[name]]
    if len(runs) != 1:
        raise _ambiguous(results, runs, names)
    return _read(results, record, runs[0])


def _runs(results: Path, study: str) -> list[dict[str, str]]:
    path = results / "compare" / f"{study}.csv"
    columns = ["study", "cohort", "model", "method"]
    facts = read_table(path, COMPARISON)
    rows = facts.loc[facts["kind"] == "performance", columns].drop_duplicates()
    return rows.to_dict("records")


def _ambiguous(results: Path, runs: list[dict[str, str]], names: tuple[str, ...]) -> MedauditError:
    if not runs:
        return MedauditError(f"{results}: no run has all of these names; leave some of them out")
    listed = [" ".join(f"--{name} {run[name]}" for name in names) for run in runs[:20]]
    return MedauditError(
        f"{results} has {len(runs)} runs, but a dossier is about one; add one of:", listed
    )


def _read(results: Path, record: dict[str, Any], run: dict[str, str]) -> Subject:
    cohort, model, method = run["cohort"], run["model"], run["method"]
    metrics = _own_file(results / "evaluate" / cohort, METRICS, model, method)
    gaps = _own_file(results / "disparity" / cohort, GAPS, model, method)
    sources = {
        "record": Path("run.json"),
        "card": _card_of(results, cohort),
        "metrics": metrics.relative_to(results),
        "gaps": gaps.relative_to(results),
        "facts": Path("compare", f"{run['study']}.csv"),
        "lint": Path("lint", f"{cohort}.json"),
    }
    measured = read_table(metrics, METRICS)
    sensitivity = Path("sensitivity", *sources["metrics"].parts[1:])
    if (results / sensitivity).is_file():
        sources["sensitivity"] = sensitivity
    return Subject(
        results=results,
        **run,
        record=record,
        card=read_json(results / sources["card"]),
        metrics=_of_run(measured, model, method),
        gaps=_of_run(read_table(gaps, GAPS), model, method),
        facts=read_table(results / sources["facts"], COMPARISON),
        findings=read_json(results / sources["lint"])["findings"],
        sources=sources,
        n_seeds=measured.loc[measured["seed"] != "mean", "seed"].nunique(),
    )


def _of_run(table: pd.DataFrame, model: str, method: str) -> pd.DataFrame:
    own = table["model"].eq(model) & table["method"].eq(method) & table["seed"].eq("mean")
    return table[own].reset_index(drop=True)


def _card_of(results: Path, cohort: str) -> Path:
    """Return the card with counts by group: the workflow's of the groups, score's of the cohort."""
    groups = Path("groups", f"{cohort}.json")
    return groups if (results / groups).is_file() else Path("cohort", f"{cohort}.json")


def _own_file(folder: Path, table, model: str, method: str) -> Path:
    """Return the table of a run. Its file name may differ from its names, which are columns."""
    plain = folder / model / f"{method}.csv"
    for path in [plain, *sorted(folder.rglob("*.csv"))]:
        if path.is_file():
            rows = read_table(path, table, ["model", "method"])
            if (rows["model"].eq(model) & rows["method"].eq(method)).any():
                return path
    raise MedauditError(
        f"{folder} has no table of {model} / {method}; run the audit again, the folder is incomplete"
    )
