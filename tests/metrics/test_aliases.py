"""Metrics are found by the names that their readers use."""

import pytest
from sklearn import metrics as sklearn_metrics

from medaudit.core.errors import MedauditError
from medaudit.metrics.aliases import ALIASES, KNOWN, resolve_metric, resolve_metrics
from medaudit.metrics.definitions import METRICS


def test_every_alias_names_one_metric():
    names = [alias for aliases in ALIASES.values() for alias in aliases]
    assert len({resolve_metric(name) for name in METRICS}) == len(METRICS)
    assert len(KNOWN) == len(names) + len(METRICS), "two metrics share an alias"
    assert all(resolve_metric(alias) == m for m, own in ALIASES.items() for alias in own)


@pytest.mark.parametrize("name", ["Sensitivity", "RECALL", " true-positive_rate", "TPR"])
def test_case_and_separators_do_not_matter(name):
    assert resolve_metric(name) == "tpr"


def test_names_of_scikit_learn_are_known():
    scores = ["roc_auc_score", "recall_score", "precision_score", "f1_score", "accuracy_score"]
    scores += ["average_precision_score", "balanced_accuracy_score", "brier_score_loss"]
    assert all(hasattr(sklearn_metrics, name) for name in scores)
    assert len(set(resolve_metrics(scores))) == len(scores)


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(MedauditError, match="did you mean 'sensitivity'"):
        resolve_metric("sensitivty")


def test_two_names_of_one_metric_are_one():
    assert resolve_metrics(["recall", "auc", "sensitivity"]) == ["tpr", "auc"]
