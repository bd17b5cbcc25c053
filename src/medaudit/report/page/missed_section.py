"""The page's section on missed findings: counts by group, and pictures where pixels are phantoms."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from medaudit.core.seeds import generator
from medaudit.core.table_io import read_json
from medaudit.report.page.contact_sheets import SHOWN, Strip, strip_of
from medaudit.report.scores.missed import count_missed, missed_findings
from medaudit.report.scores.runs import ScoredRun
from medaudit.report.wording import terms
from medaudit.report.wording.names import Names


def missed_section(
    runs: Iterable[ScoredRun], stores: list[Path], folder: str, names: Names
) -> list[dict[str, Any]]:
    """Return what the page says about missed findings, for the first run of each cohort.

    Parameters
    ----------
    runs : iterable of ScoredRun
        Only the first run of each cohort is used.
    stores : list of Path
        Image stores; pictures are shown only of those whose card says ``phantom``.
    folder : str
        Name of the folder with the lists of ids.
    names : Names
        Display names.
    """
    phantom = {
        card["cohort"]: path
        for path in stores
        if (card := read_json(path / "card.json")).get("phantom") is True
    }
    first: dict[str, ScoredRun] = {}
    for run in runs:
        first.setdefault(run.cohort, run)
    return [_part(run, phantom.get(run.cohort), folder, names) for run in first.values()]


def _part(run: ScoredRun, store: Path | None, folder: str, names: Names) -> dict[str, Any]:
    attribute = run.sample.attributes[min(1, len(run.sample.attributes) - 1)].name
    counts = [
        {**row, "label": terms.group(row["group"])}
        for row in count_missed(run, attribute)
        if row["findings"]
    ]
    return {
        "label": names.cohort(run.cohort),
        "run": names.run({"model": run.model, "method": run.method}),
        "file": f"{folder}/{run.cohort}/{run.model}/{run.method}.csv",
        "counts": counts,
        "strips": [] if store is None else _strips(run, attribute, store),
    }


def _strips(run: ScoredRun, attribute: str, folder: Path) -> list[Strip]:
    from medaudit.data.image_store import open_store

    store, rows = open_store(folder), missed_findings(run)
    strips = []
    for group, part in rows[rows["image_id"].isin(store.ids)].groupby(attribute, sort=True):
        ids = part["image_id"].drop_duplicates().to_numpy()
        chosen = generator("missed findings", run.cohort, run.model, group).permutation(ids)[:SHOWN]
        name = terms.attribute(attribute)
        strips.append(strip_of(name, terms.group(str(group)), store.read(chosen)))
    return strips
