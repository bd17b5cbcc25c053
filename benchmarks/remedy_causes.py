"""Which remedy helps against which cause: planted causes in drawn embeddings, as a table.

    python benchmarks/remedy_causes.py                     # prints; about 2 minutes on one free core
    python benchmarks/remedy_causes.py --write             # and replaces the tables of docs/mitigation.md

Two groups of patients, A and B, and a finding. Embeddings are drawn; one cause at a time makes the
model miss more of group B. All remedies run as in the stage `mitigate`: fitted on training rows,
selected and given thresholds on validation rows, measured on test rows with true labels. A cell is the
mean over the repetitions with its 95 % t-interval.
"""

import argparse
import logging
import re
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

from medaudit.adapt.after_training import AFTER_TRAINING
from medaudit.adapt.mitigate.arms import Arms, Terms
from medaudit.adapt.mitigate.problem import Part, Problem
from medaudit.adapt.mitigate.remedies import REMEDIES
from medaudit.core.mitigation import BEST_SEED, OTHER_SEEDS, PLAIN
from medaudit.core.seeds import derive_seed
from medaudit.metrics.rank_auc import rank_auc
from medaudit.report.wording.remedies import remedy

SIZES = {"train": 640, "val": 500, "test": 3000}
WIDTH = 24
"""Length of an embedding: finding, group, marker, a second sign of the finding, and noise."""
TRAINING = {
    "epochs": 12,
    "batch_size": 64,
    "learning_rate": [0.0003, 0.03],
    "weight_decay": 0.0001,
    "hidden": 16,
    "configurations": 3,
}
CAUSES = {
    "nothing": "no cause",
    "few": "few images of B",
    "noise": "missed labels in B",
    "visibility": "lower visibility in B",
    "shortcut": "shortcut in A",
    "shift": "score shifted in B",
}
LEAST = 3
"""Points: a smaller change is not set in bold."""
PAGE = Path(__file__).parents[1] / "docs" / "mitigation.md"
BEGIN, END = "<!-- causes: begin -->", "<!-- causes: end -->"


def draw(cause: str, split: str, rng: np.random.Generator) -> tuple[Part, np.ndarray]:
    """Return the rows of a split with their recorded labels, and the true labels."""
    n = SIZES[split]
    share = 0.06 if cause == "few" and split == "train" else 0.4
    group = (rng.random(n) < share).astype(int)
    truth = (rng.random(n) < 0.4).astype(int)
    b, sick = group == 1, truth == 1
    x = rng.normal(size=(n, WIDTH))
    x[:, 0] += 1.6 * truth * np.where(b, 0.4 if cause in ("visibility", "few") else 1, 1)
    x[:, 1] += 1.5 * (group - 0.5)  # the encoder sees the group
    if cause == "few":  # in B the finding looks different, which few images teach
        x[:, 3] += 1.8 * truth * b
    if cause == "shortcut":  # a marker that gives away the finding in A, and not in B
        marked = rng.random(n) < np.where(b, 0.2, np.where(sick, 0.85, 0.1))
        x[:, 2] += 2.5 * marked
    if cause == "shift":  # the same sign, at a lower level
        x[:, 0] -= 1.2 * b
        x[:, 1] -= 1.5 * (group - 0.5)  # and the encoder does not see the group
    missed = (cause == "noise") & b & sick & (rng.random(n) < 0.4) & (split != "test")
    return Part(x.astype(np.float32), np.where(missed, 0, truth), group), truth


def repetition(cause: str, number: int) -> list[dict]:
    """Return group B's AUC, and both groups' rates, for every remedy in one repetition."""
    rng = np.random.default_rng(derive_seed("causes", cause, number))
    parts = {split: draw(cause, split, rng) for split in SIZES}
    seeds = tuple(derive_seed("causes", cause, number, seed) for seed in range(1))
    many = tuple(derive_seed("causes", "many", cause, number, seed) for seed in range(3))
    problem = Problem(parts["train"][0], parts["val"][0], 2, 2, TRAINING, seeds)
    minimum = {"n": 10, "n_pos": 3, "n_neg": 3}
    names = [*REMEDIES, *AFTER_TRAINING]
    terms = Terms("finding", ["worst_group"], {"rule": "youden"}, minimum, names)
    test, truth = parts["test"]
    rows = []
    for arm in Arms(problem, test._replace(y=np.empty(0)), terms, many).run():
        row = {"cause": cause, "repetition": number, "remedy": arm.remedy}
        for name, code in (("a", 0), ("b", 1)):
            own = test.group == code
            row[f"tpr_{name}"] = arm.decision[:, own & (truth == 1)].mean()
            row[f"fpr_{name}"] = arm.decision[:, own & (truth == 0)].mean()
            aucs = [rank_auc(score[own], truth[own] == 1) for score in arm.score]
            row[f"auc_{name}"] = float(np.mean(aucs))
        rows.append(row)
    return rows


def tables(found: pd.DataFrame) -> str:
    """Return both tables as Markdown: the difference in sensitivity, and group B's AUC."""
    found = found.assign(
        difference=100 * (found["tpr_a"] - found["tpr_b"]), auc=100 * found["auc_b"]
    )
    parts = []
    for title, key in (
        (
            "Sensitivity of A minus sensitivity of B, in points: plain training, then the change by each remedy",
            "difference",
        ),
        ("AUC of B, in points: plain training, then the change by each remedy", "auc"),
    ):
        wide = found.pivot(index=["cause", "repetition"], columns="remedy", values=key)
        heads = [CAUSES[c] for c in CAUSES]
        lines = [f"**{title}**", "", f"| | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
        order = [PLAIN, OTHER_SEEDS, BEST_SEED, *REMEDIES, *AFTER_TRAINING]
        order = [n for n in order if n == PLAIN or (wide[n] - wide[PLAIN]).abs().max() > 1e-9]
        for name in order:
            change = wide[name] if name == PLAIN else wide[name] - wide[PLAIN]
            cells = [cell(change.loc[cause], name == PLAIN, key) for cause in CAUSES]
            lines.append(f"| {remedy(name)} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def cell(values: pd.Series, plain: bool, key: str) -> str:
    """Return a mean with its interval; bold where a remedy helps by `LEAST` points or more."""
    mean, error = values.mean(), values.sem()
    reach = student.ppf(0.975, len(values) - 1) * error
    text = f"{mean:{'' if plain else '+'}.1f} ({mean - reach:.1f} to {mean + reach:.1f})"
    text = text.replace("-", "\N{MINUS SIGN}")
    helps = mean + reach < 0 if key == "difference" else mean - reach > 0
    return f"**{text}**" if helps and not plain and abs(mean) >= LEAST else text


def main() -> None:
    """Run all causes and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repetitions", type=int, default=8)
    parser.add_argument(
        "--write", action="store_true", help="replace the tables of docs/mitigation.md"
    )
    parser.add_argument("--keep", type=Path, help="CSV of finished repetitions, to continue from")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    kept = options.keep
    found = pd.read_csv(kept) if kept and kept.exists() else pd.DataFrame()
    with threadpool_limits(1):
        for number in range(
            found["repetition"].max() + 1 if len(found) else 0, options.repetitions
        ):
            rows = [row for cause in CAUSES for row in repetition(cause, number)]
            found = pd.concat([found, pd.DataFrame(rows)], ignore_index=True)
            if kept:
                found.to_csv(kept, index=False)
    text = tables(found)
    print(text)
    if options.write:
        page = PAGE.read_text()
        inside = f"{BEGIN}\n{options.repetitions} repetitions.\n\n{text}\n{END}"
        PAGE.write_text(re.sub(f"{BEGIN}.*?{END}", lambda _: inside, page, flags=re.DOTALL))


if __name__ == "__main__":
    main()
