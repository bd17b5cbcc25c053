"""The vocabulary of the column ``status``: why a value is there or is missing.

A value that cannot be computed is missing, never 0, and its row's status gives the reason.
`medaudit.core.table_io.check_table` refuses any other status. Words for a reader are in
`medaudit.report.wording`.
"""

from enum import StrEnum


class Status(StrEnum):
    """Status of a metric, a gap or any other result of the audit."""

    OK = "ok"
    """The value is there."""

    ONE_CLASS = "undefined:one_class"
    """The group lacks positives or negatives, and the metric needs both."""

    NO_DECISION = "undefined:no_decision"
    """There is no threshold, nobody is selected or rejected, or a ratio has denominator 0."""

    NO_FIT = "undefined:no_fit"
    """A calibration curve cannot be fitted: the classes are separated, or all scores are equal."""

    NO_NULL = "undefined:no_null"
    """A permutation test cannot be had: too few patients can exchange their groups."""

    NO_HYPOTHESIS = "undefined:no_hypothesis"
    """No null hypothesis is known for this metric, e.g. one that the user gave as a function."""

    NO_SCORE = "undefined:no_score"
    """There are decisions without scores, and the metric needs scores."""

    TOO_FEW = "too_few"
    """The group has fewer images, positives or negatives than ``evaluation.minimum``."""

    MISSING = "missing"
    """The attribute is not known for these images, or one side of a comparison is not there."""


class ImageStatus(StrEnum):
    """Status of an image in an image store."""

    OK = "ok"
    """Its pixels are stored."""

    MISSING = "missing"
    """There is no such file."""

    BROKEN = "broken"
    """The file cannot be decoded."""
