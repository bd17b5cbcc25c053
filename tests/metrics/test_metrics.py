"""Metric values against scikit-learn and plain loops, on generated cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from medaudit.metrics import bootstrap_kernels, permutation_kernels, random_streams
from medaudit.metrics.calibration import fit_calibration, logit
from medaudit.metrics.definitions import METRICS
from medaudit.metrics.engine import group_values, permuted_group_values, rest_values
from medaudit.metrics.rank_auc import rank_auc
from medaudit.metrics.sorted_scores import sort_images

NAMES = [n for n in METRICS if not n.startswith("calibration") and n != "ece_debiased"]
BINS = 10


def draw_case(seed: int, n: int, levels: int, groups: int, weighted: bool) -> dict:
    rng = np.random.default_rng(seed)
    score = rng.integers(0, levels + 1, n) / levels
    return {
        "unit": rng.integers(0, max(n // 2, 1), n),
        "group": rng.integers(-1, groups, n),
        "positive": rng.random(n) < rng.choice([0, 0.1, 0.5, 1]) * score + 0.1,
        "score": score,
        "decision": score >= rng.choice(score),
        "factor": rng.choice([0, 0.3, 1, 2.5], n) if weighted else np.ones(n),
    }


def sorted_case(case: dict, groups: int):
    return sort_images(**case, n_groups=groups, bins=BINS)


def plain_ece(y, s, w, debiased=False):
    total, mass = 0.0, 0.0
    for b in range(BINS):
        inside = [i for i in range(len(y)) if min(int(s[i] * BINS), BINS - 1) == b and w[i] > 0]
        weight = sum(w[i] for i in inside)
        if not inside:
            continue
        rate = sum(w[i] * y[i] for i in inside) / weight
        mean = sum(w[i] * s[i] for i in inside) / weight
        effective = weight**2 / sum(w[i] ** 2 for i in inside)
        if not debiased:
            total, mass = total + weight * abs(rate - mean), mass + weight
        elif effective > 1:
            total += weight * ((rate - mean) ** 2 - rate * (1 - rate) / (effective - 1))
            mass += weight
    if mass == 0:
        return np.nan
    return np.sqrt(max(total / mass, 0)) if debiased else total / mass


def expected(name: str, y, s, d, w) -> float:
    """Value of a metric by scikit-learn or a plain loop; NaN where it has none."""
    kept = w > 0
    y, s, d, w = (np.asarray(x)[kept] for x in (y, s, d, w))
    both = 0 < y.sum() < y.size
    needs = {
        "auc": both, "average_precision": both, "balanced_accuracy": both, "f1": y.any(),
        "tpr": y.any(), "overdiagnosis": y.any(), "fpr": not y.all(), "tnr": not y.all(),
        "underdiagnosis": not y.all(), "ppv": d.any(), "npv": not d.all(),
    }  # fmt: skip
    if y.size == 0 or not needs.get(name, True):
        return np.nan
    recall = lambda label: sk.recall_score(y, d, sample_weight=w, pos_label=label)  # noqa: E731
    precision = lambda label: sk.precision_score(y, d, sample_weight=w, pos_label=label)  # noqa: E731
    return {
        "auc": lambda: sk.roc_auc_score(y, s, sample_weight=w),
        "average_precision": lambda: sk.average_precision_score(y, s, sample_weight=w),
        "accuracy": lambda: sk.accuracy_score(y, d, sample_weight=w),
        "balanced_accuracy": lambda: sk.balanced_accuracy_score(y, d, sample_weight=w),
        "f1": lambda: sk.f1_score(y, d, sample_weight=w),
        "tpr": lambda: recall(True),
        "overdiagnosis": lambda: 1 - recall(True),
        "tnr": lambda: recall(False),
        "fpr": lambda: 1 - recall(False),
        "underdiagnosis": lambda: 1 - recall(False),
        "ppv": lambda: precision(True),
        "npv": lambda: precision(False),
        "selection_rate": lambda: np.average(d, weights=w),
        "brier": lambda: np.average((s - y) ** 2, weights=w),
        "absolute_error": lambda: np.average(np.abs(s - y), weights=w),
        "ece": lambda: plain_ece(y, s, w),
        "ece_debiased": lambda: plain_ece(y, s, w, debiased=True),
    }[name]()


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6), n=st.integers(1, 60), levels=st.sampled_from([1, 4, 1000]),
    groups=st.integers(1, 4), weighted=st.booleans(),
)  # fmt: skip
def test_values_agree_with_scikit_learn(seed, n, levels, groups, weighted):
    case = draw_case(seed, n, levels, groups, weighted)
    weights = np.random.default_rng(seed + 1).integers(0, 4, (n, 3)).astype(np.uint8)
    found = group_values(sorted_case(case, groups), NAMES, weights)
    for g in range(groups):
        mine = case["group"] == g
        for b in range(3):
            w = case["factor"] * weights[case["unit"], b]
            for m, name in enumerate(NAMES):
                parts = (case[part][mine] for part in ("positive", "score", "decision"))
                want = expected(name, *parts, w[mine])
                np.testing.assert_allclose(found[m, g, b], want, atol=1e-10, err_msg=name)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), weighted=st.booleans())
def test_debiased_ece_is_the_plain_statement(seed, weighted):
    case = draw_case(seed, 50, 30, 2, weighted)
    found = group_values(sorted_case(case, 2), ["ece_debiased"], np.ones((50, 1), np.uint8))
    for g in range(2):
        mine = case["group"] == g
        parts = (case[part][mine] for part in ("positive", "score"))
        want = plain_ece(*parts, case["factor"][mine], debiased=True)
        np.testing.assert_allclose(found[0, g, 0], want, atol=1e-9)


def test_debiased_ece_of_a_calibrated_model_is_unbiased_and_the_plain_one_is_not():
    rng, plain, square = np.random.default_rng(3), [], []
    for _ in range(300):
        s = rng.random(200)
        y = rng.random(200) < s
        case = {"unit": np.arange(200), "group": np.zeros(200, int), "positive": y, "score": s,
                "decision": y, "factor": np.ones(200)}  # fmt: skip
        scores = sorted_case(case, 1)
        plain.append(group_values(scores, ["ece"], np.ones((200, 1), np.uint8)).item())
        bins = np.minimum((s * BINS).astype(int), BINS - 1)
        square.append(
            sum(
                ((y - s)[bins == b].mean() ** 2 * n - y[bins == b].var(ddof=1))
                for b in range(BINS)
                if (n := (bins == b).sum()) > 1
            )
            / 200
        )
    assert np.mean(plain) > 0.05
    assert abs(np.mean(square)) < 3 * np.std(square) / np.sqrt(300) + 1e-4


@pytest.mark.parametrize("weighted", [False, True])
def test_calibration_is_the_unpenalised_logistic_fit(weighted):
    case = draw_case(5, 400, 1000, 1, weighted)
    x = logit(case["score"])
    case["positive"] = np.random.default_rng(1).random(400) < 1 / (1 + np.exp(0.4 - 0.7 * x))
    a, b, level = fit_calibration(case["score"], case["positive"], case["factor"])
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10000)
    model.fit(x[:, None], case["positive"], case["factor"])
    assert b == pytest.approx(model.coef_[0, 0], abs=1e-6)
    assert a == pytest.approx(model.intercept_[0], abs=1e-6)
    p = 1 / (1 + np.exp(-(level + x)))
    assert np.sum(case["factor"] * (case["positive"] - p)) == pytest.approx(0, abs=1e-8)


def test_calibration_replicates_are_close_to_refitting():
    rng = np.random.default_rng(0)
    n = 2000
    s = rng.random(n)
    y = rng.random(n) < s**2
    case = {"unit": np.arange(n), "group": np.zeros(n, int), "positive": y, "score": s,
            "decision": y, "factor": np.ones(n)}  # fmt: skip
    weights = rng.multinomial(n, np.full(n, 1 / n), 50).T.astype(np.uint8)
    found = group_values(
        sorted_case(case, 1), ["calibration_slope", "calibration_intercept"], weights
    )
    refits = [fit_calibration(s, y, weights[:, b].astype(float))[1:] for b in range(50)]
    for one_step, refit in zip(found[:, 0], np.array(refits).T, strict=True):
        assert np.corrcoef(one_step, refit)[0, 1] > 0.995
        assert one_step.std() == pytest.approx(refit.std(), rel=0.05)
        assert one_step.mean() == pytest.approx(refit.mean(), abs=0.1 * refit.std())


def test_separated_or_single_class_calibration_has_no_fit():
    s = np.linspace(0.1, 0.9, 20)
    assert np.isnan(fit_calibration(s, s > 0.5, np.ones(20))[:2]).all()
    assert np.isnan(fit_calibration(s, s > 0.0, np.ones(20))).all()
    assert np.isnan(fit_calibration(np.full(20, 0.5), s > 0.5, np.ones(20))[:2]).all()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), n=st.integers(2, 50), levels=st.sampled_from([2, 50]),
    groups=st.integers(2, 4), weighted=st.booleans(),
)  # fmt: skip
def test_permuted_groups_and_their_rests_are_those_of_scores_grouped_that_way(
    seed, n, levels, groups, weighted
):
    names = [*NAMES, "calibration_slope", "calibration_intercept"]
    case = draw_case(seed, n, levels, groups, weighted)
    case["group"] = np.zeros(n, int)
    rng = np.random.default_rng(seed)
    permuted = rng.integers(0, groups, (n, 3)).astype(np.int8)
    share = rng.random((2, groups)) + 0.5 if weighted else np.ones((2, groups))
    whole = sorted_case(case, 1)
    inside, outside = permuted_group_values(whole, names, permuted, share, rest=True)
    for b in range(3):
        code = permuted[case["unit"], b].astype(int)
        factor = case["factor"] * share[case["positive"].astype(int), code]
        for g in range(groups):
            for found, mine in ((inside, code == g), (outside, code != g)):
                cut = {**case, "group": np.where(mine, 0, -1), "factor": factor}
                scores = sorted_case(cut, 1)
                scores.__dict__["fit"] = whole.fit
                want = group_values(scores, names, np.ones((n, 1), np.uint8))[:, 0, 0]
                stable = [m for m, name in enumerate(names) if name != "ece_debiased"]
                np.testing.assert_allclose(found[stable, g, b], want[stable], atol=1e-7, rtol=1e-7)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6), n=st.integers(2, 50), levels=st.sampled_from([2, 50]),
    groups=st.integers(1, 4), weighted=st.booleans(),
)  # fmt: skip
def test_rests_are_the_scores_of_the_other_groups(seed, n, levels, groups, weighted):
    names = [*NAMES, "calibration_slope", "calibration_intercept"]
    case = draw_case(seed, n, levels, groups, weighted)
    weights = np.random.default_rng(seed).integers(0, 4, (n, 3)).astype(np.uint8)
    code = case["group"]
    others = [
        sorted_case({**case, "group": np.where((code == g) | (code < 0), -1, 0)}, 1)
        for g in range(groups)
    ]
    found = rest_values(sorted_case(case, groups), others, names, weights)
    for g, other in enumerate(others):
        want = group_values(other, names, weights)[:, 0]
        np.testing.assert_allclose(found[:, g], want, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_debiased_ece_under_permuted_groups(weighted):
    case = draw_case(8, 80, 30, 1, weighted)
    case["group"] = np.zeros(80, int)
    rng = np.random.default_rng(0)
    permuted = rng.integers(0, 2, (80, 2)).astype(np.int8)
    share = np.array([[1.0, 2.0], [3.0, 0.5]])
    inside, outside = permuted_group_values(
        sorted_case(case, 1), ["ece_debiased"], permuted, share, rest=True
    )
    for b in range(2):
        code = permuted[case["unit"], b].astype(int)
        w = case["factor"] * share[case["positive"].astype(int), code]
        for g in range(2):
            for found, mine in ((inside, code == g), (outside, code != g)):
                parts = (case[part][mine] for part in ("positive", "score"))
                want = plain_ece(*parts, w[mine], debiased=True)
                np.testing.assert_allclose(found[0, g, b], want, atol=1e-9)


def test_kernels_give_the_same_numbers_uncompiled():
    """What NUMBA_DISABLE_JIT=1 runs, also for draws that no other library makes."""
    case = draw_case(3, 40, 20, 3, True)
    scores, rng = sorted_case(case, 3), np.random.default_rng(0)
    weights = rng.integers(0, 4, (40, 4)).astype(np.uint8)
    permuted = rng.integers(0, 3, (40, 4)).astype(np.int8)
    starts, row = np.array([0, 5, 6, 30]), rng.permutation(30)
    seeds = rng.integers(0, 2**63, 7).astype(np.uint64) * np.uint64(2)
    codes, share = rng.integers(0, 3, 30).astype(np.int8), rng.random((1, 2, 3))
    counts, shuffled = np.zeros((7, 30), np.uint8), np.zeros((7, 30), np.int8)
    ranked = [np.zeros((3, 3, 4)), np.zeros((4, 4)), np.zeros(4)]
    for kernel, outs, arguments in (
        (bootstrap_kernels.rank_against_all, ranked, (scores.images, weights)),
        (permutation_kernels.rank_permuted, ranked, (scores.images, share, permuted)),
        (random_streams.draw_with_replacement, [counts], (starts, row, seeds)),
        (random_streams.shuffle_within_strata, [shuffled], (codes, starts, row, seeds)),
    ):
        found = [out.copy() for out in outs], [out.copy() for out in outs]
        draws = outs[0].dtype != float
        with np.errstate(over="ignore"):
            for function, copies in zip((kernel, kernel.py_func), found, strict=True):
                function(*((*arguments, *copies) if draws else (*copies, *arguments)))
        for one, other in zip(*found, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-13)
        assert found[0][0].any()


def test_rank_auc_is_scikit_learns_for_each_labelling():
    rng = np.random.default_rng(0)
    score, positive = rng.integers(0, 6, 80) / 5, rng.random((80, 30)) < 0.4
    positive[:, 3], positive[:, 4] = True, False
    found = rank_auc(score, positive)
    kept = [k for k in range(30) if k not in (3, 4)]
    expected = [sk.roc_auc_score(positive[:, k], score) for k in kept]
    np.testing.assert_allclose(found[kept], expected, atol=1e-12)
    assert np.isnan(found[[3, 4]]).all()
    assert rank_auc(score, positive[:, 0]) == pytest.approx(found[0])


def test_permutations_are_uniform():
    codes, seeds = np.arange(4, dtype=np.int8), np.arange(24000).astype(np.uint64)
    permuted = np.zeros((24000, 4), np.int8)
    random_streams.shuffle_within_strata(
        codes, np.array([0, 4]), np.arange(4), seeds * random_streams.FIRST, permuted
    )
    _, counts = np.unique(permuted, axis=0, return_counts=True)
    assert len(counts) == 24
    assert ((counts - 1000) ** 2 / 1000).sum() < 50
