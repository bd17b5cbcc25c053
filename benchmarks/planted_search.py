"""Does the search help if overfitting to one group is planted? Five seeds of search and `full`.

The cohort `ham10000_overfit_small` has few training images of old patients, and fine stripes on them
reveal the label; in validation and test the stripes of old patients carry no information
(docs/datasets.md). The backbone was pretrained on images without stripes. A searched mask and full
fine-tuning, both with a searched learning rate and the same budget, are compared by the AUC of
their worst group on the same test patients: the claim of the study, with its interval and its
sentence in the report.

    python benchmarks/planted_search.py [--seeds 5] [--trials 16] [--folder /tmp/planted]
"""

import argparse
import html
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import yaml

from medaudit.core.table_io import read_json
from medaudit.report.page.fairtune_answers import difference
from medaudit.report.studies.fairtune_claims import MIN
from medaudit.report.studies.fairtune_comparisons import FULL

ROOT = Path(__file__).resolve().parents[1]
COHORT, MODEL = "ham10000_overfit_small", "mae_small_skin"
ARMS = {"searched": "fairtune", "full": "search_full"}
BUDGET = {
    "epochs": 8,
    "seeds": 1,
    "learning_rate": [0.0001, 0.01],
    "pruning": {"kind": "successive_halving", "first": 2, "factor": 2},
    "augmentation": None,
    "views": None,
    "group_curves": False,
}


def main() -> None:
    """Run the searches through the workflow and compare each pair."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument(
        "--folder", type=Path, default=None, help="keep results here and resume from them"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        run(folder, options)
        report(folder, options.seeds)


def run(folder: Path, options: argparse.Namespace) -> None:
    """Write the configuration and run the workflow in `folder`: one study per seed."""
    names = {f"{arm}_{seed}": of for arm, of in ARMS.items() for seed in range(options.seeds)}
    studies = {
        f"planted_{seed}": {
            "title": f"Planted overfitting of one group, seed {seed}",
            "cohorts": [COHORT],
            "models": [MODEL],
            "methods": [f"{arm}_{seed}" for arm in ARMS],
            "tables": ["search_claims", "search"],
        }
        for seed in range(options.seeds)
    }
    budget = {**BUDGET, "trials": options.trials}
    overlay = {
        "run": list(studies),
        "methods": {name: {"extends": of, **budget} for name, of in names.items()},
        "studies": studies,
    }
    path = folder / "planted.yaml"
    path.write_text(yaml.safe_dump(overlay))
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "workflow" / "Snakefile"]
    command += ["--directory", folder, "--configfile", path, "--cores", str(options.cores)]
    subprocess.run([*map(str, command), "--quiet", "all"], check=True)


def report(folder: Path, seeds: int) -> None:
    """Print the worst group's AUC of each pair, and the report's sentence on their difference."""
    print(f"{'seed':>4} {'searched':>16} {'full':>16}   difference in points")
    better, shown, values = 0, 0, []
    for seed in range(seeds):
        pair = [worst(folder, f"{arm}_{seed}") for arm in ARMS]
        cells = [f"{value:.3f} ({group})" for value, group in pair]
        claim, words = claimed(folder, seed)
        print(f"{seed:>4} {cells[0]:>16} {cells[1]:>16}   {words}")
        zero = claim["difference_low"] <= 0 <= claim["difference_high"]
        if zero != ("no difference shown" in words):
            raise SystemExit(f"the report's sentence contradicts the interval of seed {seed}")
        better += pair[0][0] > pair[1][0]
        shown += not zero
        values.append([value for value, _ in pair])
    print(f"the search is better in {better} of {seeds} seeds; {shown} intervals exclude zero")
    searched, full = pd.DataFrame(values).mean()
    print(f"ratio={searched / full:.3f}")


def claimed(folder: Path, seed: int) -> tuple[pd.Series, str]:
    """Return the study's claim (worst group, searched minus full) and the report's sentence."""
    results, study = folder / "results", f"planted_{seed}"
    table = pd.read_csv(results / "tables" / study / "search_claims.csv")
    rows = table[(table["quantity"] == MIN) & (table["cohort"] == COHORT)]
    claim = rows[rows["against"] == FULL].iloc[0]
    words = difference(claim.to_dict(), read_json(results / "tables" / study / "index.json"))
    if words not in html.unescape((results / "report.html").read_text()):
        raise SystemExit(f"the report lacks the sentence for seed {seed}: {words}")
    return claim, words


def worst(folder: Path, method: str) -> tuple[float, str]:
    """Return the lowest test AUC of any group, and the name of that group."""
    table = pd.read_csv(folder / "results" / "evaluate" / COHORT / MODEL / f"{method}.csv")
    rows = table[(table["metric"] == "auc") & (table["attribute"] == "age_group")]
    rows = rows[(rows["seed"].astype(str) == "mean") & (rows["group"] != "all")]
    row = rows.loc[rows["value"].idxmin()]
    return float(row["value"]), str(row["group"])


if __name__ == "__main__":
    main()
