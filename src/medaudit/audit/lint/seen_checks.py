"""Test images that a model has seen in pretraining, counted by group and task."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from medaudit.audit.lint.problems import Finding
from medaudit.data.seen_images import Seen, seen_images

CHECK = "pretraining_images"


def seen_test_images(
    cohort: pd.DataFrame,
    lists: Mapping[str, Sequence[Mapping[str, Any]]],
    tasks: Sequence[str],
    attributes: Sequence[str | list[str]],
    dataset: str | None,
    folder: str | None,
) -> tuple[list[Finding], set[str]]:
    """Count the test images that each model has seen.

    Parameters
    ----------
    cohort : pandas.DataFrame
        Columns of `medaudit.core.table_io.COHORT`, with groups.
    lists : dict
        ``pretraining_images`` by model.
    tasks, attributes : list of str
        Of the audit; intersections are not counted.
    dataset, folder : str or None
        Name and folder of the cohort's dataset.

    Returns
    -------
    findings : list of Finding
        A warning for a model that has seen test images, or whose list names no image of any split
        although it is about this dataset; otherwise an info.
    answered : set of str
        Models about which a list decides, image by image: the names of datasets add nothing.
    """
    findings, answered = [], set()
    for model, own in lists.items():
        seen = seen_images(own, cohort, dataset, folder)
        if seen.applies:
            findings.append(_finding(model, seen, cohort, tasks, attributes))
            if seen.images.any():
                answered.add(model)
    return findings, answered


def _finding(
    model: str,
    seen: Seen,
    cohort: pd.DataFrame,
    tasks: Sequence[str],
    attributes: Sequence[str | list[str]],
) -> Finding:
    tested = (cohort["split"] == "test").to_numpy()
    count, total = int((seen.images & tested).sum()), int(tested.sum())
    how = "; ".join(seen.notes)
    if not seen.images.any():
        text = (
            f"{model}: its list of pretraining images names no image of this cohort. Either it saw "
            f"none, or the ids have another form ({how})"
        )
        return Finding(CHECK, "info", text, 0, model)
    if not count:
        text = f"{model} has seen none of the {total} test images in pretraining ({how})"
        return Finding(CHECK, "info", text, 0, model)
    parts = [*_by_group(cohort, seen, tested, attributes), *_by_task(cohort, seen, tested, tasks)]
    patients = cohort.loc[seen.images & tested, "patient_id"].nunique()
    text = (
        f"{model} has seen {count} of the {total} test images ({count / total:.0%}, of {patients} "
        f"patients) in pretraining: {'; '.join(parts)}. Its results on them do not apply to new "
        f"patients; `exclude_seen: true` in the cohort audits the others ({how})"
    )
    return Finding(CHECK, "warning", text, count, model)


def _by_group(
    cohort: pd.DataFrame, seen: Seen, tested: Any, attributes: Sequence[str | list[str]]
) -> Iterator[str]:
    """Yield the shares of each attribute's groups; a missing group is one of its own."""
    for attribute in attributes:
        if isinstance(attribute, str) and f"a_{attribute}" in cohort:
            groups = cohort[f"a_{attribute}"].astype("object").where(lambda g: g.notna(), "missing")
            counts = [
                f"{level} {int((seen.images & tested & (groups == level)).sum())} of {int(size)}"
                for level, size in groups[tested].value_counts(sort=False).sort_index().items()
            ]
            yield f"{attribute}: {', '.join(counts)}"


def _by_task(cohort: pd.DataFrame, seen: Seen, tested: Any, tasks: Sequence[str]) -> Iterator[str]:
    """Yield the shares of the positive images of each task."""
    counts = []
    for task in tasks:
        positive = (cohort[f"y_{task}"] == 1).to_numpy() & tested
        counts.append(f"{task} {int((seen.images & positive).sum())} of {int(positive.sum())}")
    if counts:
        yield f"positives: {', '.join(counts)}"
