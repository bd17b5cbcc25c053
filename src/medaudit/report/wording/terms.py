"""Names of metrics, attributes and runs as a reader sees them."""

METRICS = {
    "auc": "AUC",
    "average_precision": "average precision",
    "accuracy": "accuracy",
    "f1": "F1",
    "tpr": "TPR",
    "fpr": "FPR",
    "ece": "ECE",
    "tnr": "TNR",
    "ppv": "PPV",
    "npv": "NPV",
    "brier": "Brier score",
    "ece_debiased": "ECE, debiased",
}
LONG = {
    "auc": "area under the ROC curve (AUC)",
    "f1": "F1 score",
    "tpr": "true positive rate (TPR)",
    "fpr": "false positive rate (FPR)",
    "ece": "expected calibration error (ECE)",
}
GAPS = {
    "max_min": "largest difference between groups",
    "ratio": "smallest to largest ratio between groups",
    "worst_rest": "worst group against all others",
    "others": "each group against all others",
    "std": "standard deviation between groups",
    "es": "equity-scaled value",
    "dto": "distance to the utopia point",
}


def measure(name: str, long: bool = False) -> str:
    """Name of a measure (a metric, perhaps with its dialect in brackets) for a reader."""
    metric, _, dialect = name.partition(" (")
    shown = (LONG if long else METRICS).get(metric) or METRICS.get(metric)
    shown = shown or metric.replace("_", " ")
    return f"{shown} ({dialect}" if dialect else shown


def gap(name: str) -> str:
    """Name of a gap for a reader."""
    return GAPS.get(name, name.replace("_", " "))


def attribute(name: str) -> str:
    """Name of an attribute or intersection for a reader."""
    return name.replace("_", " ").replace(" & ", " and ")


def first_upper(text: str) -> str:
    """Return `text` with its first letter in upper case."""
    return text[:1].upper() + text[1:]
