"""Build a cohort and its groups from the dataset's tables, outside the results of any run."""

import json
from pathlib import Path

from medaudit.config import jobs
from medaudit.core.documents import CohortCard
from medaudit.core.entry_types import Config
from medaudit.core.table_io import read_json
from medaudit.data.cohort import cohort as build_cohort
from medaudit.data.groups import groups as build_groups
from medaudit.data.manifest import manifest as build_manifest


def rebuild(config: Config, name: str, folder: Path) -> tuple[Path, CohortCard]:
    """Build a cohort in `folder` as a run would, and return its table and its card.

    Parameters
    ----------
    config : dict
        The checked configuration.
    name : str
        The cohort's name.
    folder : Path
        Manifests and cohorts that are already in it are reused.

    Returns
    -------
    table : Path
        The cohort's table (`medaudit.core.table_io.COHORT`).
    card : dict
        The card of its groups.

    Raises
    ------
    MedauditError
        As the stages `manifest`, `cohort` and `groups`.
    """
    dataset = config["cohorts"][name]["dataset"]
    manifest, manifest_card = folder / f"{dataset}.parquet", folder / f"{dataset}.json"
    if not manifest_card.exists():
        settings = json.loads(jobs.settings(config, "manifest", dataset=dataset))
        build_manifest(settings, output=manifest, card=manifest_card)
    table, card = folder / "cohort" / f"{name}.parquet", folder / "cohort" / f"{name}.json"
    groups = folder / "groups" / f"{name}.json"
    if groups.exists():
        return table, read_json(groups)
    build_cohort(
        json.loads(jobs.settings(config, "cohort", cohort=name)),
        manifest=manifest,
        manifest_card=manifest_card,
        output=table,
        card=card,
    )
    build_groups(
        json.loads(jobs.settings(config, "groups", cohort=name)),
        cohort=table,
        cohort_card=card,
        output=groups.with_suffix(".parquet"),
        card=groups,
    )
    return table, read_json(groups)
