"""Checks of a cohort: splits, attribute coding, ages, repeated rows, sizes of groups."""

import re
from collections.abc import Iterator, Sequence

import pandas as pd

from medaudit.audit.lint.problems import Finding, examples
from medaudit.core.entry_types.evaluation import EvaluationMinimum
from medaudit.core.intersections import join_names

VAGUE = re.compile(r"^(?:not|non|no)[ _-]")
NO_ANSWER = {"n/a", "na", "none", "nan", "null", "?", "not reported", "missing", "other/unknown"}
OLDEST = 100


def patient_overlap(cohort: pd.DataFrame) -> Iterator[Finding]:
    """Find patients with images in more than one split (error)."""
    splits = cohort[["patient_id", "split"]].drop_duplicates()
    shared = splits.loc[splits.duplicated("patient_id"), "patient_id"].unique()
    if len(shared):
        yield Finding(
            "patient_overlap",
            "error",
            f"{len(shared)} patients have images in more than one split: the test result does not "
            "hold for new patients; split by patient",
            len(shared),
            f"patients {examples(shared)}",
        )


def repeated_rows(cohort: pd.DataFrame) -> Iterator[Finding]:
    """Find image files with more than one id (error in the test split)."""
    for split, rows in cohort.groupby("split", sort=True):
        paths = rows.loc[rows["path"].duplicated(keep=False), "path"]
        if len(paths):
            yield Finding(
                "resampled_duplicates",
                "error" if split == "test" else "warning",
                f"{len(paths)} rows of the {split} split share {paths.nunique()} image files: "
                "intervals of a set resampled with replacement are about half as wide as they "
                "should be; keep each image once and add weights (w_ columns)",
                len(paths),
                f"paths {examples(paths.unique())}",
            )


def attribute_coding(cohort: pd.DataFrame) -> Iterator[Finding]:
    """Find unclear levels: unknown, "not X", bare codes, several spellings of one level."""
    for column in [c for c in cohort.columns if c.startswith("a_")]:
        attribute, values = column[2:], cohort[column]
        levels = sorted(values.dropna().unique())
        yield from _missing(attribute, values)
        yield from _levels(attribute, values, levels)
        yield from _spellings(attribute, levels)


def _missing(attribute: str, values: pd.Series) -> Iterator[Finding]:
    missing = int(values.isna().sum())
    if missing:
        text = f"{attribute} is missing in {missing} of {len(values)} rows; they are in no group"
        severity = "warning" if missing > 0.05 * len(values) else "info"
        yield Finding("attribute_missing", severity, text, missing, attribute)


def _levels(attribute: str, values: pd.Series, levels: list[str]) -> Iterator[Finding]:
    counts = values.value_counts()
    unknown = [level for level in levels if level.casefold() == "unknown"]
    texts = {
        "info": [
            (unknown, "is a level of its own: patients recorded as unknown are compared as a group")
        ],
        "warning": [
            (
                [level for level in levels if level.casefold().strip() in NO_ANSWER],
                "seems to mean that there is no answer: leave it blank (missing) or call it unknown",
            ),
            (
                [level for level in levels if VAGUE.match(level.casefold())],
                "holds everybody else, also those whose value is unknown (as `sex != M` does): name the groups",
            ),
            (
                [level for level in levels if re.fullmatch(r"-?\d+(\.0)?", level)],
                "is a bare code: write out its meaning",
            ),
        ],
    }
    for severity, found in texts.items():
        for named, text in found:
            if named:
                count = int(counts[named].sum())
                message = f"{attribute}: level {examples(named)} {text} ({count} rows)"
                yield Finding("attribute_coding", severity, message, count, attribute)
    if len(levels) < 2:
        found_levels = f"only the level {levels[0]!r}" if levels else "no value at all"
        message = f"{attribute} has {found_levels}: there is nothing to compare"
        yield Finding("attribute_coding", "warning", message, len(levels), attribute)


def _spellings(attribute: str, levels: list[str]) -> Iterator[Finding]:
    folded = pd.Series(levels, dtype="str").groupby([x.casefold().strip() for x in levels])
    for _, same in folded:
        if len(same) > 1:
            message = (
                f"{attribute}: {', '.join(map(repr, same))} look like one level: spell it one way"
            )
            yield Finding("attribute_coding", "warning", message, len(same), attribute)


def ages(cohort: pd.DataFrame) -> Iterator[Finding]:
    """Find impossible ages (error below 0 or over 120, warning over 100)."""
    age = cohort["age"]
    for wrong, severity in (
        ((age < 0) | (age > 120), "error"),
        ((age > OLDEST) & (age <= 120), "warning"),
    ):
        if wrong.any():
            message = f"{int(wrong.sum())} ages are outside 0 to {OLDEST}; correct them, or set them to missing"
            where = f"age {examples(sorted(age[wrong].unique()))}"
            yield Finding("age_range", severity, message, int(wrong.sum()), where)


def age_groups(cohort: pd.DataFrame) -> Iterator[Finding]:
    """Find age groups that overlap (error): one age must not belong to two groups."""
    if "a_age_group" not in cohort or cohort["age"].isna().all():
        return
    pairs = cohort[["age", "a_age_group"]].dropna().drop_duplicates()
    both = sorted(pairs.loc[pairs.duplicated("age"), "age"].unique())
    if both:
        message = f"{len(both)} ages belong to more than one age group; correct `a_age_group`"
        yield Finding("attribute_coding", "error", message, len(both), f"ages {examples(both)}")


def small_groups(
    cohort: pd.DataFrame,
    tasks: list[str],
    attributes: Sequence[str | list[str]],
    minimum: EvaluationMinimum,
) -> Iterator[Finding]:
    """Find groups of the test split below the minimum; they are not estimated (``too_few``)."""
    test = cohort[cohort["split"] == "test"]
    labels = test[[f"y_{task}" for task in tasks]]
    for names in (([a] if isinstance(a, str) else list(a)) for a in attributes):
        keys = [test[f"a_{name}"] for name in names]
        known = pd.concat(keys, axis=1).notna().all(axis=1)
        groups = labels[known].groupby([key[known] for key in keys], observed=True)
        n, positive = groups.count(), groups.sum()
        short = (
            (n < minimum["n"]) | (positive < minimum["n_pos"]) | ((n - positive) < minimum["n_neg"])
        )
        yield from _short(join_names(names), n, positive, short, minimum)


def _short(
    attribute: str,
    n: pd.DataFrame,
    positive: pd.DataFrame,
    short: pd.DataFrame,
    minimum: EvaluationMinimum,
) -> Iterator[Finding]:
    least = f"{minimum['n']} images, {minimum['n_pos']} positives, {minimum['n_neg']} negatives"
    for group in short.index[short.any(axis=1)]:
        tasks = [task for task in short.columns if short.loc[group, task]]
        name = join_names(group)
        first = tasks[0]
        in_tasks = (
            f" in {len(tasks)} of {len(short.columns)} tasks" if len(short.columns) > 1 else ""
        )
        message = (
            f"{attribute} = {name} is below the minimum ({least}){in_tasks}: its numbers there are "
            f"not estimated ({first[2:]}: {int(n.loc[group, first])} images, "
            f"{int(positive.loc[group, first])} of them positive)"
        )
        where = examples([task[2:] for task in tasks])
        yield Finding("small_group", "warning", message, len(tasks), f"{attribute}: {where}")


def splits(cohort: pd.DataFrame, tasks: list[str]) -> Iterator[Finding]:
    """Find a cohort without a test split (error) or with single-class tasks there (warning)."""
    test = cohort[cohort["split"] == "test"]
    if test.empty:
        yield Finding(
            "splits", "error", "there is no row with the split `test`: nothing to audit", 0, "split"
        )
    for column in [f"y_{task}" for task in tasks]:
        if not test.empty and test[column].nunique() < 2:
            message = (
                f"{column[2:]} has fewer than two classes in the test split: no ranking metric"
            )
            yield Finding("one_class", "warning", message, len(test), column[2:])
        if column.casefold().replace(" ", "_") in ("y_no_finding", "y_normal", "y_healthy"):
            message = (
                f"a positive {column[2:]} means that there is no disease: read its TPR as the share "
                "of healthy patients who are recognised"
            )
            yield Finding("label_polarity", "info", message, len(test), column[2:])
