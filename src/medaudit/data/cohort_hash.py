"""Hashes that identify a cohort's images and splits, and its test set."""

import hashlib

import pandas as pd


def hash_ids(frame: pd.DataFrame) -> str:
    """Return the SHA-256 of which image is in which split, in row order."""
    lines = frame["image_id"] + "\t" + frame["split"] + "\n"
    return hashlib.sha256("".join(lines.tolist()).encode()).hexdigest()


def hash_test(frame: pd.DataFrame) -> str:
    """Return the SHA-256 of the test split in full: images, labels, attributes and weights.

    Cohorts with the same hash are tested on the same data, so their results are paired.
    """
    test = frame[frame["split"] == "test"].sort_values("image_id")
    text = test[sorted(test.columns)].to_csv(index=False, lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()
