"""Results of optional stages, and facts about models and methods, for requested outputs."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.audit.dialects.same_quantity import quote_audit
from medaudit.config.grids import names_of
from medaudit.core.audit_tables import (
    CONDITIONAL,
    DIALECTS,
    LOCAL,
    PARTS,
    PROBES,
    REMEDIES,
    SEARCH,
    SENSITIVITY,
    SHIFT,
)
from medaudit.core.documents import PredictionsFooter
from medaudit.core.entry_types import MethodEntry, StudyEntry
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import Table, read_json, read_metadata, read_table
from medaudit.report.studies.evidence import RUN, CompareSettings, Evidence, ordered, replicates_of


@dataclass(frozen=True)
class Extras:
    """Inputs of requested tables and figures, in addition to `Evidence`.

    Parameters
    ----------
    methods : dict of str to MethodEntry
        Of each method ``kind`` and, if it has them, ``head``, ``tune``, ``lora``, ``format``.
    level : float
        Level of the intervals, e.g. 0.95.
    dialects : pandas.DataFrame
        Rows of `DIALECTS`; ``file`` and ``row`` locate their replicates.
    parts, probes : pandas.DataFrame
        Rows of `PARTS` and `PROBES`.
    footers : list of PredictionsFooter
        Footers of the runs' predictions.
    files : list of Path
        Files of replicates; ``file`` in `dialects` is an index into this list.
    models : dict of str to dict
        Facts about each model and each member of an ensemble
        (`medaudit.config.model_facts.model_facts`).
    searches : list of dict
        Results of `medaudit.search.best_trial`, one per search; ``table`` has the trials
        (`SEARCH`).
    conditional, sensitivity, shift, local, remedies : pandas.DataFrame
        Rows of `CONDITIONAL`, `SENSITIVITY`, `SHIFT`, `LOCAL` and `REMEDIES`.
    """

    methods: dict[str, MethodEntry]
    level: float
    dialects: pd.DataFrame
    parts: pd.DataFrame
    probes: pd.DataFrame
    footers: list[PredictionsFooter]
    files: list[Path] = field(default_factory=list)
    models: dict[str, dict] = field(default_factory=dict)
    searches: list[dict] = field(default_factory=list)
    conditional: pd.DataFrame = field(default_factory=pd.DataFrame)
    sensitivity: pd.DataFrame = field(default_factory=pd.DataFrame)
    shift: pd.DataFrame = field(default_factory=pd.DataFrame)
    local: pd.DataFrame = field(default_factory=pd.DataFrame)
    remedies: pd.DataFrame = field(default_factory=pd.DataFrame)

    def replicates(self, row: pd.Series) -> np.ndarray:
        """Return the replicates of a row of `dialects`, float64, shape (draws,)."""
        array = np.load(self.files[row["file"]], mmap_mode="r", allow_pickle=False)
        return np.asarray(array[row["row"]], dtype=float)

    def kind(self, method: str) -> str:
        """Return the kind of a method, e.g. ``zero_shot``; an empty text if it is unknown."""
        return self.methods.get(method, {}).get("kind", "")


def gather_extras(
    settings: CompareSettings,
    dialects: Iterable[Path],
    parts: Iterable[Path],
    probes: Iterable[Path],
    predictions: Iterable[Path],
    searches: Iterable[Path] = (),
    conditional: Iterable[Path] = (),
    sensitivity: Iterable[Path] = (),
    shift: Iterable[Path] = (),
    remedies: Iterable[Path] = (),
) -> Extras:
    """Return the results of optional stages, sorted in the study's order.

    Raises
    ------
    MedauditError
        The replicates of a table of dialects do not match its rows.
    """
    entry = settings["entry"]
    return Extras(
        methods=settings.get("methods", {}),
        level=float(settings["evaluation"].get("bootstrap", {}).get("level", 0.95)),
        dialects=_read([_read_dialects(*item) for item in enumerate(dialects)], DIALECTS, entry),
        parts=_read_runs(parts, PARTS, entry),
        probes=_read_runs(probes, PROBES, entry),
        footers=_sorted([read_metadata(path) for path in predictions], entry),
        files=[replicates_of(path) for path in dialects],
        models=settings.get("models", {}),
        searches=_sorted([_read_search(path) for path in searches], entry),
        conditional=_read_runs(conditional, CONDITIONAL, entry),
        sensitivity=_read_runs(sensitivity, SENSITIVITY, entry),
        shift=_read_runs(shift, SHIFT, entry),
        local=_read_runs([local_of(path) for path in shift], LOCAL, entry),
        remedies=_read_runs(remedies, REMEDIES, entry),
    )


def local_of(path: Path) -> Path:
    """Return the path of the learning curves of local patients, next to the parts of the change."""
    return path.with_name(path.name.removesuffix(".csv") + ".local.csv")


def quote_intervals(extras: Extras, evidence: Evidence) -> Extras:
    """Return extras whose dialects quote the audit's interval where both have the same number."""
    quoted = quote_audit(extras.dialects, evidence.metrics, evidence.gaps)
    return replace(extras, dialects=quoted)


def _read_runs(paths: Iterable[Path], table: Table, entry: StudyEntry) -> pd.DataFrame:
    return _read([read_table(path, table) for path in paths], table, entry)


def _read_dialects(number: int, path: Path) -> pd.DataFrame:
    frame = read_table(path, DIALECTS)
    shape = np.load(replicates_of(path), mmap_mode="r", allow_pickle=False).shape
    if len(shape) != 2 or shape[0] != len(frame):
        raise MedauditError(
            f"{replicates_of(path)} has shape {shape}, but {path} has {len(frame)} rows; row i of "
            "one must belong to row i of the other: run dialects again for this run"
        )
    return frame.assign(file=number, row=np.arange(len(frame)))


def _read(found: list[pd.DataFrame], table: Table, entry: StudyEntry) -> pd.DataFrame:
    if not found:
        return pd.DataFrame(columns=list(table.columns))
    frame = pd.concat(found, ignore_index=True)
    axes = [axis for axis in RUN if axis in frame]
    order = frame[axes].apply(lambda values: values.map(_ranks(values, entry)))
    return frame.loc[order.sort_values(axes, kind="stable").index].reset_index(drop=True)


def _ranks(values: pd.Series, entry: StudyEntry) -> dict[str, int]:
    return {name: k for k, name in enumerate(ordered(values, names_of(entry, f"{values.name}s")))}


def _read_search(path: Path) -> dict:
    return {**read_json(path), "table": read_table(path.with_suffix(".csv"), SEARCH)}


def _sorted(found: list, entry: StudyEntry) -> list:
    """Return footers or searches in the study's order."""
    ranks = [_ranks(pd.Series([f[axis] for f in found], name=axis), entry) for axis in RUN]
    return sorted(
        found, key=lambda f: [rank[f[axis]] for rank, axis in zip(ranks, RUN, strict=True)]
    )
