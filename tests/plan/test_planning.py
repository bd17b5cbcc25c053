"""Planning: the simulated patients are what they claim, and planned sizes have their power."""

import json

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from medaudit.cli import main
from medaudit.core.errors import MedauditError
from medaudit.plan import first_guess, power_curve
from medaudit.plan.audit_draw import evaluation_of
from medaudit.plan.planning import count_found, plan_gap, plan_patients
from medaudit.plan.population import Group, Population, as_tables, draw, group_of_auc
from medaudit.plan.study import Question, Study
from medaudit.plan.worse import PLANNED, operating_point, true_value, worsen
from medaudit.score.settings import MINIMUM

GROUP = Group(20_000, 0.3, 0.82, 0.15)


def drawn(population, seed=0):
    return draw(population, np.random.default_rng(seed))


@pytest.mark.parametrize("labels", [0.0, 0.4, 1.0])
def test_marginal_values_do_not_depend_on_how_images_cluster(labels):
    group = Group(20_000, 0.3, 0.82, 0.15, spread=(1.0, 1.6))
    found = drawn(Population((group,), (1, 5), 0.6, labels))
    decision, y = found.latent >= 0, found.y
    # Five standard errors of clustered shares of 20,000 patients.
    assert y.mean() == pytest.approx(0.3, abs=0.02)
    assert decision[y].mean() == pytest.approx(0.82, abs=0.02)
    assert decision[~y].mean() == pytest.approx(0.15, abs=0.015)
    assert roc_auc_score(y, found.latent) == pytest.approx(group.auc, abs=0.01)
    assert np.bincount(found.patient).min() == 1 and np.bincount(found.patient).max() == 5


def test_images_of_a_patient_are_correlated_as_stated():
    found = drawn(Population((Group(20_000, 0.3, 0.82, 0.15),), (2, 2), 0.6, 1.0))
    y = found.y.reshape(-1, 2)
    assert (y[:, 0] == y[:, 1]).all()
    first, second = (found.latent - np.array(GROUP.means)[found.y.astype(int)]).reshape(-1, 2).T
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(0.6, abs=0.025)


def test_exact_numbers_of_positive_patients():
    groups = (Group(30, 1 / 3, 0.9, 0.1), Group(100, 0.25, 0.9, 0.1))
    found = drawn(Population(groups, (3, 3), 0.5, exact=True))
    patients = [np.unique(found.patient[found.y & (found.group == g)]).size for g in (0, 1)]
    assert patients == [10, 25] and np.bincount(found.group).tolist() == [90, 300]


def test_tables_are_reproducible_and_two_cohorts_share_no_id():
    population = Population((Group(5, 0.5, 0.9, 0.1),) * 2, (1, 3))
    predictions, cohort = as_tables(drawn(population), "one")
    again = as_tables(drawn(population), "one")
    assert predictions.equals(again[0]) and cohort.equals(again[1])
    other = as_tables(drawn(population, 1), "two")[1]
    assert not set(cohort["patient_id"]) & set(other["patient_id"])
    assert cohort["patient_id"].nunique() == 10


@pytest.mark.parametrize("metric", PLANNED)
def test_a_worse_group_is_worse_by_the_stated_amount(metric):
    worse = worsen(GROUP, metric, 0.07)
    sign = 1 if metric == "fpr" else -1
    assert true_value(worse, metric) == pytest.approx(true_value(GROUP, metric) + sign * 0.07)
    found = drawn(Population((worse,)))
    decision = found.latent >= 0
    measured = {
        "auc": roc_auc_score(found.y, found.latent),
        "tpr": decision[found.y].mean(),
        "fpr": decision[~found.y].mean(),
        "tnr": 1 - decision[~found.y].mean(),
        "accuracy": (decision == found.y).mean(),
        "balanced_accuracy": (decision[found.y].mean() + 1 - decision[~found.y].mean()) / 2,
    }
    assert measured[metric] == pytest.approx(true_value(worse, metric), abs=0.02)
    with pytest.raises(MedauditError, match="smaller gap"):
        worsen(GROUP, metric, 0.999)


@pytest.mark.parametrize("metric", PLANNED)
@pytest.mark.parametrize("labels", [0.3, 1.0])
def test_first_guess_knows_the_variance_of_clustered_images(metric, labels):
    """The variance of a metric over 600 simulated groups of 150 patients, with 10 % tolerance."""
    group = Group(150, 0.3, 0.82, 0.15)
    population = Population((group,), (1, 8), 0.6, labels)
    rng = np.random.default_rng(5)
    values = []
    for _ in range(600):
        found = draw(population, rng)
        decision, y = found.latent >= 0, found.y
        tpr, fpr = decision[y].mean(), decision[~y].mean()
        values.append(
            {
                "auc": roc_auc_score(y, found.latent) if metric == "auc" else 0,
                "tpr": tpr, "fpr": fpr, "tnr": 1 - fpr,
                "accuracy": (decision == y).mean(), "balanced_accuracy": (tpr + 1 - fpr) / 2,
            }[metric]
        )  # fmt: skip
    expected = first_guess.patient_variance(group, metric, population) / group.patients
    assert np.std(values) == pytest.approx(np.sqrt(expected), rel=0.1)


def test_first_guess_is_the_textbook_size_for_two_proportions():
    """(z_a + z_b)^2 (p1 q1 + p2 q2) / d^2 positives in each group (Fleiss 1981, without pooling)."""
    population = Population((Group(1000, 0.25, 0.9, 0.1),) * 2)
    _, factor = first_guess.guess_factor(population, "tpr", 0.1, 0.05, 0.8)
    needed = (norm.ppf(0.975) + norm.ppf(0.8)) ** 2 * (0.9 * 0.1 + 0.8 * 0.2) / 0.1**2
    assert 1000 * factor * 0.25 == pytest.approx(needed, rel=0.05)


def test_the_smaller_group_is_the_harder_one():
    population = Population((Group(500, 0.3, 0.85, 0.1), Group(60, 0.3, 0.85, 0.1)))
    assert first_guess.hardest_group(population, "tpr", 0.1, 0.05)[0] == 1


def test_operating_points():
    tpr, fpr = operating_point(0.9, None, None, "youden", 0.3)
    assert tpr == pytest.approx(1 - fpr, abs=1e-3)
    assert Group(1, 0.3, tpr, fpr).auc == pytest.approx(0.9, abs=1e-9)
    assert Group(1, 0.3, *operating_point(0.9, None, 0.05, None, 0.3)).auc == pytest.approx(0.9)
    assert Group(1, 0.3, *operating_point(0.9, 0.8, None, None, 0.3)).auc == pytest.approx(0.9)
    rng = np.random.default_rng(1)
    y = rng.random(400_000) < 0.1
    score = rng.normal(size=y.size) + np.sqrt(2) * norm.ppf(0.9) * y
    cuts = np.quantile(score, np.linspace(0.7, 0.99, 60))
    f1 = [2 * (y & (score >= c)).sum() / (y.sum() + (score >= c).sum()) for c in cuts]
    tpr, fpr = operating_point(0.9, None, None, "best_f1", 0.1)
    cut = norm.isf(fpr)
    there = 2 * (y & (score >= cut)).sum() / (y.sum() + (score >= cut).sum())
    assert there >= max(f1) - 0.005


@pytest.mark.parametrize("truth", [(-1.96, 2.8), (-1.0, 1.3), (-2.5, 6.0)])
def test_the_search_finds_where_a_planted_curve_has_its_power(truth):
    """Over 200 searches, the range of 1.96 standard errors must hold the truth in 90 % and more."""
    intercept, slope = truth
    exact = (norm.ppf(0.8) - intercept) / slope
    rng = np.random.default_rng(2)

    def simulate(points):
        return [rng.binomial(n, norm.cdf(intercept + slope * size)) for size, n in points]

    curves = [power_curve.find_curve(simulate, 0.8, 1.96, 1000) for _ in range(200)]
    inside = [abs(c.size(0.8) - exact) <= 1.96 * c.size_error(0.8) for c in curves]
    reached = np.array([norm.cdf(intercept + slope * c.size(0.8)) for c in curves])
    assert np.mean(inside) >= 0.9
    assert ((reached > 0.76) & (reached < 0.84)).mean() >= 0.97


def test_simulated_studies_use_the_minimum_of_score():
    assert evaluation_of(["auc"], ["max_min"], 20, 20)["minimum"] == MINIMUM


def test_the_answer_does_not_depend_on_the_number_of_processes():
    population = Population((group_of_auc(40, 0.4, 0.9),) * 2)
    one, two = (plan_gap(population, Question("auc", samples=100, processes=p)) for p in (1, 2))
    assert one.as_json() == two.as_json()


def test_command_prints_the_answer_and_json(capsys):
    arguments = ["plan", "--metric", "tpr", "--tpr", "0.9", "--fpr", "0.1", "--prevalence", "0.4"]
    arguments += ["0.5", "--gap", "0.3", "--ratio", "2", "1", "--samples", "100", "--images", "1"]
    main([*arguments, "3", "--json"])
    found = json.loads(capsys.readouterr().out)
    first, second = found["groups"]
    assert found["asked"] == "patients" and found["gap"] == 0.3
    assert first["patients"] == pytest.approx(2 * second["patients"], abs=1)
    assert second["positives"] == pytest.approx(second["images"] * 0.5)
    assert found["range"][0] < found["patients"] < found["range"][1] + 1
    assert found["images_per_patient"] == [1, 3] and found["score_correlation"] == 0.5
    main([*arguments, "3"])
    text = " ".join(capsys.readouterr().out.split())
    assert f"{found['patients']} patients (Monte-Carlo range" in text
    assert "group 2 worse by 0.3 in tpr" in text and "labels by 1" in text


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--patients", "30"], "2 or more groups"),
        (["--patients", "12", "9"], "however large"),
        (["--patients", "40", "40", "--ratio", "1", "1"], "leave it out"),
        (["--patients", "40", "40", "--images", "3", "1"], "smallest and largest"),
        (["--patients", "40", "40", "--correlation", "1.5"], "--correlation 1.5"),
        (["--patients", "40", "40", "40", "--prevalence", ".1", ".2"], "2 values for 3 groups"),
        (["--gap", "0"], "above 0"),
        (["--gap", "0.1", "--metric", "tpr"], "threshold is not determined"),
        (["--gap", "0.1", "--tpr", "0.8", "--fpr", "0.1"], "determine the AUC"),
        (["--gap", "0.95"], "smaller gap"),
        (["--gap", "0.1", "--power", "0.3"], "power 0.3"),
        (["--gap", "0.1", "--level", "0.5"], "level 0.5"),
        (["--gap", "0.1", "--samples", "10"], "too few"),
    ],
)
def test_command_says_what_is_wrong(more, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["plan", "--auc", "0.9", "--prevalence", "0.3", *more])
    assert message in f"{stopped.value.code} {capsys.readouterr().err}"
    assert stopped.value.code not in (0, None)


PLANS = {
    "tpr, two groups": (Population((Group(1, 0.35, 0.85, 0.15),) * 2), "tpr", 0.15),
    "fpr, many images": (
        Population((Group(1, 0.3, 0.85, 0.15),) * 2, (1, 10), 0.5, 0.5), "fpr", 0.1,
    ),
    "auc, unequal groups": (
        Population((group_of_auc(4, 0.4, 0.9), group_of_auc(1, 0.2, 0.9))), "auc", 0.12,
    ),
    "accuracy, four groups": (Population((Group(1, 0.35, 0.85, 0.15),) * 4), "accuracy", 0.12),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", PLANS)
def test_planned_sizes_have_their_power(case):
    """Other samples than those of the search: .76 to .84, and two standard errors of 600."""
    population, metric, gap = PLANS[case]
    question = Question(metric, processes=2)
    sized = plan_patients(population, gap, question)
    found = plan_gap(sized.study.population, question)
    for plan in (sized, found):
        share = count_found(plan.study, question, range(600), -1)[0] / 600
        print(f"{case}: {plan.asked} {plan.range}, power {share:.3f}")
        assert 0.76 - 0.033 <= share <= 0.84 + 0.033
    assert found.study.gap == pytest.approx(gap, rel=0.15)


def test_power_of_a_study_grows_with_its_size():
    small, large = (Study(Population((Group(n, 0.4, 0.9, 0.1),) * 2), 0.3, 1) for n in (20, 80))
    counts = [count_found(s, Question("tpr"), range(40))[0] for s in (small, large)]
    assert counts[0] < counts[1] - 8
