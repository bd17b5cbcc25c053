"""Lines on the cohort of a run: sizes, exclusions, missing values, sources, warnings."""

from medaudit.core.documents import GroupCount
from medaudit.report.dossier.subject import Subject
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.disclaimers import notes_of

SPLITS = ("train", "val", "test")


def write_splits(subject: Subject) -> list[str]:
    """Write the size of each split."""
    rows = [row for row in subject.card.get("counts", []) if row["attribute"] == "all"]
    rows.sort(key=lambda row: SPLITS.index(row["split"]) if row["split"] in SPLITS else 9)
    return [f"Split {row['split']}: {_count(row)}." for row in rows]


def write_groups(subject: Subject) -> list[str]:
    """Write the size of each group in each split."""
    rows = [row for row in subject.card.get("counts", []) if row["attribute"] != "all"]
    return [
        f"{terms.attribute(row['attribute'])}, {terms.group(row['group'])} ({row['split']}): "
        f"{_count(row)}."
        for row in rows
    ]


def _count(row: GroupCount) -> str:
    positive = ", ".join(
        f"{number_format.count(row['positive'][task])} of {number_format.count(known)} with {task}"
        for task, known in row["known"].items()
    )
    images, patients = (number_format.count(row[name]) for name in ("n_images", "n_patients"))
    return f"{images} images of {patients} patients; {positive}"


def write_flow(subject: Subject) -> list[str]:
    """Write what was left out of the cohort."""
    return [
        f"{step['reason']}: {number_format.count(step['count'])} images left out"
        + (f", {number_format.count(step['left'])} left" if "left" in step else "")
        + "."
        for step in subject.card.get("exclusions", [])
    ]


def write_missing(subject: Subject) -> list[str]:
    """Write how many images lack each attribute."""
    return [
        f"{terms.attribute(name)} is unrecorded for {number_format.count(count)} of "
        f"{number_format.count(subject.card['n_images'])} images; they are in no group."
        for name, count in subject.card.get("missing", {}).items()
    ]


def write_tables(subject: Subject) -> list[str]:
    """Write the source tables with their hashes."""
    return [
        f"Source table {entry['file']}, SHA-256 {entry['sha256']}."
        for entry in subject.card.get("tables", {}).values()
        if "sha256" in entry
    ]


def write_notes(subject: Subject) -> list[str]:
    """Write the notes of the cohort, the phantom disclaimer first."""
    return notes_of([subject.card])


def write_lint(subject: Subject) -> list[str]:
    """Write the findings of the protocol lint."""
    lines = [f"{f['severity']} ({f['check']}): {f['message']}" for f in subject.findings]
    return lines or ["The protocol lint has no finding."]
