"""The page of results: tables by topic, made of counts alone."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.stats import binom

from acceptance import Check, patients_of, standard_error
from cells import Cell
from outcomes import DRAWS, PERMUTATIONS

NAMES = {
    "auc": "AUC", "average_precision": "AP", "accuracy": "accuracy", "tpr": "TPR", "fpr": "FPR",
    "f1": "F1", "ppv": "PPV", "npv": "NPV", "selection_rate": "selection rate", "ece": "ECE",
    "brier": "Brier", "balanced_accuracy": "balanced accuracy", "calibration_intercept": "intercept",
}  # fmt: skip
HEAD = """\
# Statistics, simulated

Written by `python tests/simulations/run.py --page docs/statistics_simulations.md`: do not edit.

Each row is a simulated case whose true values are known; its samples are audited by the functions
that audit real data ({draws} bootstrap draws, {permutations} permutations, the default minimum of
10 images, 3 positives and 3 negatives). {samples}
Engine: {engine}.

A share is followed by its standard error. **Bold**: outside its limits by more than two standard
errors; *italic*: outside by less. "Positives" are patients with a positive image, where patients
have several images. Where a case says how many patients are positive, their numbers are the same
in every sample, and F1, PPV and selection rate, which vary with them, are left out. A cell without
a number was not estimable.
"""


def render(
    cells: list[Cell],
    counts: dict[str, Counter],
    checks: list[Check],
    engine: str = "unknown",
    lacking: Sequence[str] = (),
) -> str:
    """Return the page as Markdown; `lacking` are cases without a sample."""
    words = _samples(cells, counts)
    if lacking:
        words += f" Not simulated: {'; '.join(lacking)}."
    text = HEAD.format(draws=DRAWS, permutations=PERMUTATIONS, samples=words, engine=engine)
    marks = {(c.cell, c.metric, c.what, c.where): c for c in checks}
    parts = [text, _limits(checks)]
    plain = [cell for cell in cells if cell.kind != "family"]
    families = [cell for cell in cells if cell.kind == "family"]
    parts += [_coverage(plain, counts, marks)] if plain else []
    parts += [_gaps(plain, counts, marks)] if plain else []
    parts += [_families(families, counts, marks)] if families else []
    parts.append(_broken(checks))
    parts.append(_speed(cells, counts))
    return "\n".join(parts)


def _samples(cells: list[Cell], counts: dict[str, Counter]) -> str:
    """Say how many samples every case has."""
    cases: dict[int, list[str]] = {}
    for cell in cells:
        cases.setdefault(int(counts[cell.name]["samples"]), []).append(cell.name)
    most = max(cases, key=lambda number: len(cases[number]))
    if len(cases) == 1:
        return f"Each case has {most} samples."
    rest = [f"{n} samples: {'; '.join(names)}" for n, names in sorted(cases.items()) if n != most]
    return f"{len(cases[most])} cases have {most} samples each. The others: {'. '.join(rest)}."


def summarise(cells: list[Cell], counts: dict[str, Counter], checks: list[Check]) -> str:
    """Return the tables of what holds and what does not, without the single shares."""
    return "\n".join([_limits(checks), _broken(checks), _speed(cells, counts)])


def _limits(checks: list[Check]) -> str:
    names = ["share of samples", "limits", "held", "outside", "clearly", "mean", "worst", "where"]
    lines = ["## What must hold\n", f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    for what in dict.fromkeys(c.what for c in checks):
        some = [c for c in checks if c.what == what]
        bounds = sorted({(c.low, c.high) for c in some})
        words = "; ".join(f"{_number(low)} to {_number(high)}" for low, high in bounds)
        held, clearly = sum(c.holds for c in some), sum(c.clearly_broken for c in some)
        mean, worst = np.mean([c.share for c in some if c.n]), max(some, key=Check.beyond)
        row = [what, words, str(held), str(len(some) - held), str(clearly), _number(mean)]
        row += [_share(worst.share, worst.n, worst), f"{NAMES[worst.metric]}, {worst.cell}"]
        lines.append(f"| {' | '.join(row)} |")
    few = "groups with at least 5 positives and 5 negatives; the stricter limits: 25 of each"
    return "\n".join([*lines, f"\nLimits are for {few}. Zero width: all.\n{_by_chance(checks)}\n"])


def _by_chance(checks: list[Check]) -> str:
    """Say how many tests whose level is right are outside the limits by chance alone."""
    levels = [c for c in checks if c.what in ("p <= .05", "interval excludes 0") and c.n]
    if not levels:
        return ""
    outside = [
        1 - binom.cdf(np.floor(c.high * c.n + 1e-9), c.n, 0.05)
        + binom.cdf(np.ceil(c.low * c.n - 1e-9) - 1, c.n, 0.05)
        for c in levels
    ]  # fmt: skip
    found = sum(not c.holds for c in levels)
    return (
        f"Of {len(levels)} tests of equal groups, {found} are outside; if every one had a level of "
        f"exactly .05, chance would put {sum(outside):.0f} outside."
    )


def _coverage(cells: list[Cell], counts: dict[str, Counter], marks: dict) -> str:
    lines = [
        "## Coverage of 95 % intervals of groups\n",
        "Of the smallest group, then of the largest.\n",
    ]
    for topic, metrics, some in _by_topic(cells):
        lines += [f"### {topic}\n", _header("positives, negatives", metrics)]
        for cell in some:
            count = counts[cell.name]
            patients = patients_of(count)
            order = sorted(patients, key=lambda group: min(patients[group]))
            for group in dict.fromkeys((order[0], order[-1])):
                size = ", ".join(f"{number:.0f}" for number in patients[group])
                row = [cell.name, size]
                for metric in metrics:
                    row.append(_covered(count, marks, cell.name, metric, group))
                lines.append(f"| {' | '.join(row)} |")
        lines.append("")
    return "\n".join(lines)


def _covered(count: Counter, marks: dict, cell: str, metric: str, group: str) -> str:
    key = f"metric/{metric}/{group}"
    n = int(count[f"{key}/ok"])
    if not n:
        return ""
    text = _share(count[f"{key}/covered"] / n, n, marks.get((cell, metric, "coverage", group)))
    zero = count[f"{key}/zero"] / n
    return text + (f" (zero width {_number(zero)})" if zero else "")


def _gaps(cells: list[Cell], counts: dict[str, Counter], marks: dict) -> str:
    lines = [
        "## Gaps\n",
        "For `max_min`, and for `worst_rest` below it. Each entry: coverage of the 95 % interval; "
        "share of intervals above 0; share with p <= .05; and, if any, the share in which the two "
        "disagree about 0. `=`: the groups have no gap in this metric; `0`: they have one, which "
        "the null hypothesis of the test allows; else the test should find the gap.\n",
    ]
    for topic, metrics, some in _by_topic(cells):
        lines += [f"### {topic}\n", _header("gap", metrics)]
        for cell in some:
            for gap in ("max_min", "worst_rest"):
                row = [cell.name, f"`{gap}`"]
                row += [_gap(counts[cell.name], marks, cell.name, m, gap) for m in metrics]
                lines.append(f"| {' | '.join(row)} |")
        lines.append("")
    return "\n".join(lines)


def _gap(count: Counter, marks: dict, cell: str, metric: str, gap: str) -> str:
    key = f"gap/{metric}/{gap}"
    n, tested = int(count[f"{key}/ok"]), int(count[f"{key}/tested"])
    if not n:
        return ""
    sign = "= " if count[f"{key}/no_gap"] == n else "0 " if count[f"{key}/null_true"] == n else ""

    def part(word: str, of: int, *whats: str) -> str:
        check = next((marks[k] for w in whats if (k := (cell, metric, w, gap)) in marks), None)
        return _share(count[f"{key}/{word}"] / of, of, check)

    shares = [part("covered", n, "coverage of gap"), part("excludes", n, "interval excludes 0")]
    shares.append(part("p05", tested, "power", "p <= .05") if tested else "no test")
    if disagree := count[f"{key}/disagree"]:
        shares.append(f"disagree {_number(disagree / tested)}")
    if no_null := count[f"{key}/no_null"]:
        shares.append(f"no null {_number(no_null / n)}")
    if upper := int(count[f"{key}/upper"]):
        shares.append(f"equivalent {part('equivalent', upper, 'equivalent')}")
    return sign + "; ".join(shares)


def _families(cells: list[Cell], counts: dict[str, Counter], marks: dict) -> str:
    lines = ["## Many tests\n", "Share of samples of fair models with any p <= .05.\n"]
    lines += ["| case | metric | tests | adjusted | not adjusted |", "|---|---|---|---|---|"]
    for cell in cells:
        for metric in cell.metrics:
            key, count = f"family/{metric}", counts[cell.name]
            n = int(count[f"{key}/tested"])
            one = _share(
                count[f"{key}/any"] / n, n, marks[cell.name, metric, "family-wise error", "all"]
            )
            raw = _share(count[f"{key}/any_raw"] / n, n, None)
            size = f"{count[f'{key}/size'] / n:.0f}"
            lines.append(f"| {cell.name} | {NAMES[metric]} | {size} | {one} | {raw} |")
    return "\n".join([*lines, ""])


def _broken(checks: list[Check]) -> str:
    broken = [c for c in checks if not c.holds]
    lines = ["## What does not hold\n"]
    if not broken:
        return "\n".join([*lines, "Every share is within its limits.\n"])
    lines += ["| case | metric | where | what | share | limits |", "|---|---|---|---|---|---|"]
    for c in sorted(broken, key=lambda c: not c.clearly_broken):
        share = _share(c.share, c.n, c) if c.n else "no sample"
        limits = f"{_number(c.low)} to {_number(c.high)}"
        lines.append(
            f"| {c.cell} | {NAMES[c.metric]} | {c.where} | {c.what} | {share} | {limits} |"
        )
    return "\n".join([*lines, ""])


def _speed(cells: list[Cell], counts: dict[str, Counter]) -> str:
    seconds = [counts[cell.name]["seconds"] / counts[cell.name]["samples"] for cell in cells]
    total = sum(counts[cell.name]["seconds"] for cell in cells) / 60
    return (
        f"Seconds of one core per sample: {min(seconds):.2f} to {max(seconds):.2f}; in all "
        f"{total:.0f} minutes.\n"
    )


def _by_topic(cells: list[Cell]):
    for topic in dict.fromkeys(cell.topic for cell in cells):
        some = [cell for cell in cells if cell.topic == topic]
        used = {metric for cell in some for metric in cell.metrics}
        yield topic, [metric for metric in NAMES if metric in used], some


def _header(second: str, metrics: list[str]) -> str:
    names = ["case", second, *(NAMES[metric] for metric in metrics)]
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"


def _share(share: float, n: int, check: Check | None) -> str:
    text = f"{_number(share)} ± {_number(standard_error(share, n))}"
    if check is None or check.holds:
        return text
    return f"**{text}**" if check.clearly_broken else f"*{text}*"


def _number(share: float) -> str:
    return f"{share:.3f}".removeprefix("0") if share < 1 else f"{share:.3f}"
