"""Monitoring: values against loops, limits that mean what they say, false alarms, planted drifts."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal, norm
from sklearn.metrics import roc_auc_score

from medaudit.cli import main
from medaudit.core.errors import GateFailure, MedauditError
from medaudit.core.table_io import read_table
from medaudit.metrics.repeated_looks import both_exceed, critical_values
from medaudit.score.monitor import Plan, monitor
from medaudit.score.monitor.periods import baseline_periods, cut_periods
from medaudit.score.monitor.series import Series, make_part
from medaudit.score.monitor.table import MONITOR
from medaudit.score.monitor.watch import baseline_value, watch

K, BASE = 24, 6


def simulate(rng, positives=40, rate=0.85, n=K + BASE, drop=0.0, since=99, returning=0.0, size=1.0):
    """Return one positive image per row: patient, period and decision.

    `returning` is the correlation of a patient's latent values, each patient having on average 3
    images if it is above 0. The rate falls by `drop` from look `since` on.
    """
    period = np.repeat(np.arange(n), positives)
    patient = np.arange(len(period))
    if returning:
        patient = rng.integers(0, len(period) // 3, len(period))
    own = np.sqrt(returning) * rng.normal(size=patient.max() + 1)[patient]
    latent = own + np.sqrt(1 - returning) * rng.normal(size=len(period))
    now = np.where(period >= BASE + since - 1, rate - drop, rate)
    return {
        "y": np.ones(len(period)),
        "decision": (latent < norm.ppf(now)).astype(float),
        "score": latent,
        "patient": patient,
    }, period


def one_series(arrays, period, metric="tpr", chosen=None):
    n = int(period.max()) + 1
    chosen = np.ones(len(period), bool) if chosen is None else chosen
    return Series("finding", metric, "all", "all", (make_part(metric, arrays, chosen, period, n),))


def first_alarm(series, alpha=0.05, series_count=1):
    looks = watch(series, BASE, np.full(K, alpha / K / series_count))
    return min((k - BASE + 1 for k, look in looks.items() if look.alarms), default=None)


def rates(count, seed, **options):
    rng = np.random.default_rng(seed)
    found = [first_alarm(one_series(*simulate(rng, **options))) for _ in range(count)]
    return np.array([np.inf if f is None else f for f in found])


@pytest.mark.parametrize(("a", "b", "r"), [(2.0, 2.5, 0.9), (3.1, 3.1, 0.5), (1.0, 3.0, 0.0)])
def test_both_exceed_is_the_normal_probability(a, b, r):
    pair = multivariate_normal(cov=[[1, r], [r, 1]])
    corner = lambda x, y: pair.cdf([-x, -y])  # noqa: E731
    mixed = multivariate_normal(cov=[[1, -r], [-r, 1]]).cdf([-a, -b])
    expected = 2 * corner(a, b) + 2 * mixed
    assert both_exceed(a, b, np.array([r]))[0] == pytest.approx(expected, rel=2e-3, abs=1e-7)


def test_critical_values_keep_the_false_alarms_of_normal_means():
    """20,000 normal studies: no look crosses more often than its part, and not far less often."""
    rng = np.random.default_rng(5)
    weights, base, draws = np.array([1.0, 2, 0.5, 1, 1, 3, 1, 1]), 5.0, 20_000
    spent = np.full(8, 0.1 / 8)
    limits = critical_values(weights, base, spent)
    x = rng.normal(size=(draws, 8)) / np.sqrt(weights)
    reference = rng.normal(size=draws) / np.sqrt(base)
    crossed = np.zeros(draws, bool)
    for k in range(8):
        at = np.zeros(draws, bool)
        for s in range(k + 1):
            w = weights[s : k + 1]
            z = ((x[:, s : k + 1] @ w) / w.sum() - reference) / np.sqrt(1 / w.sum() + 1 / base)
            at |= np.abs(z) >= limits[k]
        crossed |= at
    rate, error = crossed.mean(), np.sqrt(0.1 * 0.9 / draws)
    assert rate <= 0.1 + 3 * error
    assert rate > 0.05  # Hunter's bound is not that far off
    assert limits[0] == pytest.approx(norm.isf(spent[0] / 2), abs=1e-4)


def test_critical_values_do_not_depend_on_the_future_nor_on_empty_periods():
    full = critical_values(np.array([1.0, 2, 3, 4]), 6.0, np.full(4, 0.01))
    assert critical_values(np.array([1.0, 2]), 6.0, np.full(2, 0.01)) == pytest.approx(full[:2])
    gap = critical_values(np.array([1.0, 0, 2]), 6.0, np.full(3, 0.01))
    assert np.isnan(gap[1]) and gap[[0, 2]] == pytest.approx(full[:2])


def mixed(rng, n=400, periods=8):
    frame = pd.DataFrame(
        {
            "patient": rng.integers(0, 90, n),
            "period": rng.integers(0, periods, n),
            "y": rng.integers(0, 2, n).astype(float),
            "score": rng.random(n).round(1),
            "group": rng.integers(0, 2, n),
        }
    )
    frame["decision"] = (frame["score"] >= 0.5).astype(float)
    return frame


@pytest.mark.parametrize("metric", ["tpr", "fpr", "ppv", "accuracy", "auc"])
def test_values_and_errors_are_those_of_a_loop(metric):
    frame = mixed(np.random.default_rng(3))
    arrays = {name: frame[name].to_numpy() for name in ("y", "decision", "score", "patient")}
    series = one_series(arrays, frame["period"].to_numpy(), metric)

    def value(rows):
        counted = {
            "tpr": rows[rows.y == 1].decision,
            "fpr": rows[rows.y == 0].decision,
            "ppv": rows[rows.decision == 1].y,
            "accuracy": (rows.decision == rows.y).astype(float),
        }
        if metric == "auc":
            positives = rows.y.sum()
            return roc_auc_score(rows.y, rows.score), positives * (len(rows) - positives) / len(
                rows
            )
        return counted[metric].mean(), len(counted[metric])

    expected = [value(frame[frame.period == k]) for k in range(8)]
    assert series.value == pytest.approx([v for v, _ in expected])
    assert series.weight == pytest.approx([w for _, w in expected])

    # The influence of a patient is the change when the patient's images get a little more weight.
    weights = series.weight
    centre = (series.value * weights).sum() / weights.sum()
    influence = series.influence(8)
    for patient in (3, 40):
        for k in range(8):
            rows = frame[frame.period == k]
            own = rows.patient == patient
            if not own.any():
                assert influence[patient, k] == 0
                continue
            e = 1e-5
            heavier = rows.assign(w=np.where(own, 1 + e, 1.0))
            moved = weighted(heavier, metric)
            shift = (moved - series.value[k]) / e
            # influence is centred at the common mean; put it back to the period's own
            part = series.parts[0]
            at_own = part.add[patient, k] - series.value[k] * part.share[patient, k]
            assert at_own == pytest.approx(shift, abs=2e-4)
            assert influence[patient, k] == pytest.approx(
                at_own + (series.value[k] - centre) * part.share[patient, k]
            )


def weighted(rows, metric):
    if metric == "auc":
        return roc_auc_score(rows.y, rows.score, sample_weight=rows.w)
    kept = {"tpr": rows.y == 1, "fpr": rows.y == 0, "ppv": rows.decision == 1}.get(
        metric, rows.w > 0
    )
    right = {"ppv": rows.y == 1, "accuracy": rows.decision == rows.y}.get(
        metric, rows.decision == 1
    )
    return (rows.w * right)[kept].sum() / rows.w[kept].sum()


def test_a_look_is_that_of_a_loop_over_starts():
    frame = mixed(np.random.default_rng(4), n=900)
    arrays = {name: frame[name].to_numpy() for name in ("y", "decision", "score", "patient")}
    series = one_series(arrays, frame["period"].to_numpy(), "tpr")
    spent = np.full(5, 0.01)
    look = watch(series, 3, spent)[7]
    positives = frame[frame.y == 1]
    before = positives[positives.period < 3]
    best = None
    p = positives.decision.mean()
    for start in range(3, 8):
        since = positives[positives.period >= start]
        difference = since.decision.mean() - before.decision.mean()
        total = 0.0
        for patient in positives.patient.unique():
            inside, outside = (part[part.patient == patient] for part in (since, before))
            total += (
                (inside.decision - p).sum() / len(since)
                - (outside.decision - p).sum() / len(before)
            ) ** 2
        n = positives[positives.period >= 3].patient.nunique()
        unit = sum(
            ((rows.decision - p).groupby(rows.patient).sum() ** 2).sum()
            for _, rows in positives.groupby("period")
        ) / len(positives)
        variance = max(total * n / (n - 1), unit * (1 / len(since) + 1 / len(before)))
        z = difference / np.sqrt(variance)
        if best is None or abs(z) > abs(best[0]):
            best = (z, start, since.decision.mean(), difference)
    assert (look.z, look.start, look.value, look.difference) == pytest.approx(best)


def test_an_alarm_is_a_value_outside_the_limits():
    rng = np.random.default_rng(11)
    seen = {True: 0, False: 0}
    for drop in (0.0, 0.3, 0.5):
        series = one_series(*simulate(rng, drop=drop, since=9))
        for k, look in watch(series, BASE, np.full(K, 0.05 / K)).items():
            outside = not look.limit_low < series.value[k] < look.limit_high
            assert outside == look.alarms
            seen[outside] += 1
            assert look.alarms == (not look.low < 0 < look.high)
    assert min(seen.values()) > 5


def test_few_false_alarms_and_a_drift_is_found():
    """60 studies each; the slow test below has the full protocol."""
    quiet = rates(60, 1)
    assert np.isfinite(quiet).sum() <= 8  # P(more than 8 of 60 at .05) = .002
    drifted = rates(30, 2, drop=0.25, since=7)
    assert np.isfinite(drifted).mean() > 0.8
    assert (drifted[np.isfinite(drifted)] >= 7).mean() > 0.8


def test_without_accounting_for_looks_most_quiet_models_alarm():
    rng, alarms = np.random.default_rng(3), 0
    for _ in range(60):
        series = one_series(*simulate(rng))
        base = baseline_value(series, BASE)
        n = 40
        z = (series.value[BASE:] - base) / np.sqrt(base * (1 - base) * (1 / n + 1 / (BASE * n)))
        alarms += bool((np.abs(z) > 1.96).any())
    assert alarms > 30


CASES = {
    "40 positives a month, rate .85": {},
    "20 a month, rate .95": {"positives": 20, "rate": 0.95},
    "8 a month, rate .85": {"positives": 8},
    "patients come 3 times, correlation .5": {"returning": 0.5},
    "patients come 3 times, correlation .9": {"returning": 0.9},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_false_alarms_over_24_looks(case):
    found = np.isfinite(rates(1000, 7, **CASES[case]))
    rate = found.mean()
    error = np.sqrt(rate * (1 - rate) / len(found))
    print(f"\n{case}: {rate:.4f} (standard error {error:.4f}) of 1000 quiet studies alarm")
    assert rate <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 1000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("drop", "since"), [(0.15, 1), (0.15, 7), (0.25, 1), (0.25, 7), (0.25, 13)]
)
def test_delay_to_find_a_drift(drop, since):
    found = rates(400, 9, drop=drop, since=since)
    hit = np.isfinite(found) & (found >= since)
    delay = np.median(np.where(hit, found - since + 1, np.inf))
    error = np.sqrt(hit.mean() * (1 - hit.mean()) / len(hit))
    print(
        f"\ndrop {drop} from look {since}: found {hit.mean():.3f} ({error:.3f}), median {delay} looks"
    )
    assert hit.mean() > (0.9 if drop == 0.25 else 0.2)


def make_file(folder, seed=0, drop=0.0, since=10, n_periods=18):
    """Write predictions with dates, patients who come again, and a drift in women only."""
    rng = np.random.default_rng(seed)
    n = 120 * n_periods
    month = np.repeat(np.arange(n_periods), 120)
    patient = rng.integers(0, n // 2, n)
    sex = rng.choice(["F", "M"], n // 2)[patient]
    y = rng.random(n) < 0.4
    worse = (sex == "F") & (month >= since) & y
    chance = np.where(y, 0.85 - drop * worse, 0.1)
    positive = rng.random(n) < chance
    day = pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 28, n), unit="D")
    dates = [d + pd.DateOffset(months=int(m)) for d, m in zip(day, month, strict=True)]
    frame = pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(n)],
            "patient_id": [f"p{k}" for k in patient],
            "sex": sex,
            "study_date": [d.strftime("%Y-%m-%d") for d in dates],
            "label": y.astype(int),
            "score": np.where(positive, rng.uniform(0.5, 1, n), rng.uniform(0, 0.49, n)).round(3),
        }
    )
    frame.to_csv(folder / "stream.csv", index=False)
    return folder / "stream.csv"


def test_a_drift_of_one_group_is_named_and_fails_the_gate(tmp_path, capsys):
    path = make_file(tmp_path, drop=0.55, since=9)
    arguments = ["monitor", str(path), "--date", "study_date", "--baseline", "2023-06"]
    arguments += ["--attributes", "sex", "--output", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--gate"])
    assert ended.value.code == 3
    said = capsys.readouterr().out
    assert "Alarm in 2023-1" in said and "sex F" in said and "down from" in said
    table = read_table(tmp_path / "out" / "monitor.csv", MONITOR)
    alarmed = table[table["alarm"]]
    assert set(alarmed.loc[alarmed["metric"] == "tpr", "group"]) >= {"F", "F minus M"}
    assert "M" not in set(alarmed["group"])
    assert alarmed["period"].min() >= "2023-10"
    record = json.loads((tmp_path / "out" / "monitor.json").read_text())
    assert record["n_baseline"] == 6 and record["n_watched"] == 8
    assert (tmp_path / "out" / "monitor_figure.svg").exists()


def test_verdicts_of_the_past_stay_when_a_month_is_added(tmp_path):
    path = make_file(tmp_path, drop=0.3, since=9)
    plan = Plan("study_date", "6")
    whole = monitor(path, plan, attributes=["sex"]).table
    frame = pd.read_csv(path)
    earlier = monitor(frame[frame["study_date"] < "2024-03"], plan, attributes=["sex"]).table
    both = whole[whole["period"] < "2024-03"].reset_index(drop=True)
    names = ["period", "group", "metric", "z", "critical", "limit_low", "alarm"]
    pd.testing.assert_frame_equal(both[names], earlier[names])


def test_a_quiet_file_passes_and_says_what_it_does_not_show(tmp_path):
    found = monitor(make_file(tmp_path, seed=5), Plan("study_date", "6"), attributes=["sex"])
    found.check_gate()
    text = " ".join(found.sentences())
    assert "does not show that nothing changed" in text and "12 months of 24 planned" in text
    with pytest.raises(GateFailure, match="no period could be tested"):
        monitor(few(), Plan("d", "1")).check_gate()


def few():
    frame = pd.DataFrame({"d": ["2024-01-02", "2024-02-03"] * 6, "sex": ["f", "f", "m", "m"] * 3})
    return frame.assign(label=[0, 1, 1, 0] * 3, score=np.linspace(0, 1, 12))


@pytest.mark.parametrize(
    ("texts", "length", "labels"),
    [
        (["2024-01-31", "2024-03-01"], "month", ["2024-01", "2024-02", "2024-03"]),
        (["20240131", "20240401"], "quarter", ["2024-Q1", "2024-Q2"]),
        (["31.01.2024 08:15", "01.02.2024"], "month", ["2024-01", "2024-02"]),
        (["2024-01-31T23:59:59", None, "2025-06-01"], "year", ["2024", "2025"]),
        (["2024-01-01", "2024-01-08"], "week", ["2024-01-01", "2024-01-08"]),
    ],
)
def test_dates_become_periods(texts, length, labels):
    found = cut_periods(pd.Series(texts, dtype="object"), length, None, "file")
    assert found.labels == labels
    assert [k for k, text in enumerate(texts) if text is None] == np.flatnonzero(
        found.codes < 0
    ).tolist()


def test_wrong_dates_are_told():
    with pytest.raises(MedauditError, match=r"fit %d/%m/%Y and %m/%d/%Y.*--date-format"):
        cut_periods(pd.Series(["01/02/2024", "03/04/2024"]), "month", None, "file")
    with pytest.raises(MedauditError, match="one format, e.g. 'soon'"):
        cut_periods(pd.Series(["2024-01-01", "soon"]), "month", None, "file")
    with pytest.raises(MedauditError, match="periods; correct the dates"):
        cut_periods(pd.Series(["1924-01-01", "2024-01-01"]), "week", None, "file")
    with pytest.raises(MedauditError, match="--baseline 2"):
        baseline_periods(["2024-01", "2024-02"], "2")
    with pytest.raises(MedauditError, match="--baseline soon: .*2024-01"):
        baseline_periods(["2024-01", "2024-02"], "soon")


@pytest.mark.slow
def test_a_drift_is_found_more_often_than_by_confidence_sequences():
    """Normal months of equal size; from month 7 on they are 2 standard deviations lower.

    The other way: a normal-mixture boundary (Howard et al. 2021, equation 14) from every start s,
    with error probability alpha / (s (s + 1)), tuned to three months.
    """
    from scipy.special import lambertw

    rng, alpha, draws = np.random.default_rng(6), 0.05, 4000
    limits = critical_values(np.ones(K), BASE, np.full(K, alpha / K))
    x = rng.normal(size=(draws, K)) - 2.0 * (np.arange(K) >= 6)
    base = rng.normal(size=draws) / np.sqrt(BASE)
    found = np.full((2, draws), np.inf)
    for k in range(K):
        for s in range(k + 1):
            n = k - s + 1
            information = 1 / (1 / n + 1 / BASE)
            z = np.abs(x[:, s : k + 1].mean(axis=1) - base) * np.sqrt(information)
            share = alpha / ((s + 1) * (s + 2))
            rho = 1 / (1 / 3 + 1 / BASE) / (-lambertw(-(share**2) / np.e, -1).real - 1)
            whole = information + rho
            sequence = np.sqrt(whole * np.log(whole / (rho * share**2)) / information)
            for way, limit in enumerate((limits[k], sequence)):
                found[way] = np.where((z >= limit) & np.isinf(found[way]), k + 1, found[way])
    hit = (np.isfinite(found) & (found >= 7)).mean(axis=1)
    print(f"\nfound: error spending {hit[0]:.3f}, confidence sequences {hit[1]:.3f}")
    assert hit[0] > hit[1] + 0.1
