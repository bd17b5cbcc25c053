"""Searches in the workflow: what a job is handed, what reruns, and four workers under SLURM."""

import json
import random
import re
import subprocess
import time

import optuna
import pytest
import yaml

from checkout import Checkout
from medaudit.config import jobs
from medaudit.config.validation import check
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import read_json
from medaudit.search.journal import open_journal
from medaudit.search.trials import POSITION
from shipped_config import SCHEMAS, edited, merged, shipped
from slurm_cluster import LACKING, running, snakemake

COHORT, MODEL, METHOD = "chexpert_balanced_smoke", "vit_random", "fairtune"
RUN = {"cohort": COHORT, "model": MODEL, "method": METHOD}
STUDY = {"cohorts": [COHORT], "models": [MODEL], "methods": [METHOD], "also": []}


def configured(**changes) -> dict:
    """Return the configuration with one study of one search, changed."""
    methods = {METHOD: {"workers": 3, **changes}}
    over = {"studies": {"how_fair": STUDY}, "methods": methods, "run": ["how_fair"]}
    return check(merged(shipped(), over), SCHEMAS)


def settings(stage: str, config: dict) -> dict:
    more = {"search": {"worker": "1"}, "finetune": {"seed": "0"}}.get(stage, {})
    return json.loads(jobs.settings(config, stage, **RUN, **more))


@pytest.mark.parametrize(
    ("change", "reruns"),
    [
        ({"workers": 9}, set()),
        ({"seeds": 5}, set()),
        ({"trials": 99}, {"search", "best_trial"}),
        ({"space": "attention12"}, {"search", "best_trial"}),
        ({"sampler": "random"}, {"search"}),
        ({"epochs": 9}, {"search", "best_trial", "finetune"}),
        ({"batch_size": 9}, {"search", "finetune"}),
    ],
)
def test_a_setting_reaches_the_stages_that_use_it(change, reruns):
    stages = ("search", "best_trial", "finetune")
    changed = configured(**change)
    assert {s for s in stages if settings(s, configured()) != settings(s, changed)} == reruns


def test_all_workers_are_handed_the_same_and_the_cohorts_first_attribute():
    config = configured()
    one, two = (jobs.settings(config, "search", **RUN, worker=w) for w in "01")
    assert one == two
    first = config["cohorts"][COHORT]["attributes"][0]
    assert settings("search", config)["entry"]["objective"]["attribute"] == first
    assert jobs.extra_search_workers(config) == [{**RUN, "worker": "1"}, {**RUN, "worker": "2"}]
    code = {s: jobs.code(config, s, **RUN, worker="0", seed="0") for s in ("search", "finetune")}
    assert len(set(code.values())) == 2


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (f"methods/{METHOD}/objective", {"attribute": "shoe"}, "'shoe' is not an attribute of"),
        (f"methods/{METHOD}/learning_rate", [0.1, 0.01], "0.1 is not below 0.01"),
        (f"methods/{METHOD}/space", "blocks12", "'blocks12' is unknown"),
    ],
)
def test_a_wrong_search_is_found_before_anything_runs(path, value, said):
    config = merged(edited(path, value), {"studies": {"how_fair": STUDY}})
    with pytest.raises(MedauditError, match=said):
        check(config, SCHEMAS)


SMALL = {
    "learning_rate": [0.0001, 0.01],
    "objective": {"minimum": {"n": 5, "n_pos": 1, "n_neg": 1}},
    "epochs": 2,
    "seeds": 1,
}
PREDICTIONS = f"results/predictions/{COHORT}/{MODEL}/{METHOD}.parquet"


def small_checkout(folder, **changes) -> Checkout:
    checkout = Checkout.copy(folder)
    over = {"run": ["how_fair"], "studies": {"how_fair": STUDY}}
    over["methods"] = {METHOD: {**SMALL, **changes}}
    (checkout.folder / "config" / "search.yaml").write_text(yaml.safe_dump(over))
    return checkout


@pytest.mark.slow
@pytest.mark.workflow
@pytest.mark.xdist_group("workflow")
def test_more_workers_and_more_seeds_rerun_no_search(tmp_path):
    checkout = small_checkout(tmp_path / "a checkout", trials=3)
    overlay = checkout.folder / "config" / "change.yaml"
    arguments = ("--configfile", "config/search.yaml", "config/change.yaml", "--", PREDICTIONS)

    def planned(**change) -> list[str]:
        overlay.write_text(yaml.safe_dump({"methods": {METHOD: change}}))
        return [rule for rule, _ in checkout.plan(*arguments)]

    assert set(planned(workers=2)) >= {"search", "best_trial", "finetune", "merge_seeds"}
    done = checkout.snakemake(*arguments)
    assert done.returncode == 0, done.stdout[-6000:]
    assert planned(workers=8) == []
    assert sorted(planned(seeds=2)) == ["finetune", "merge_seeds"]
    assert sorted(planned(trials=4)) == ["finetune", "merge_seeds", "search", "best_trial"]


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.workflow
@pytest.mark.xdist_group("workflow")
@pytest.mark.skipif(bool(LACKING), reason=f"SLURM is not installed: no {LACKING}")
def test_four_workers_under_slurm_of_which_two_are_ended(cluster, tmp_path, python):
    trials = 60
    checkout = small_checkout(tmp_path / "a checkout", trials=trials, workers=4)
    results = checkout.folder / "results"
    workers = [f"results/search/{COHORT}/{MODEL}/{METHOD}/{w}.json" for w in range(4)]
    arguments = ["--configfile", "config/search.yaml", "--set-threads", "images=1", "search=1"]
    arguments += ["--default-resources", "mem_mb=2000", "runtime=10", "--set-resources"]
    arguments += ["search:mem_mb=4000", "search:gpu=0", "search:cpus_per_task=1"]
    arguments += ["--", f"results/best_trial/{COHORT}/{MODEL}/{METHOD}.json", *workers]
    with snakemake(checkout, python, *arguments) as run:
        cancelled, stopped = end_two(results / "search", time.monotonic() + 300)
        run.wait()
    noted = (cluster.root / "log" / "jobs.txt").read_text()
    states = {
        job: re.findall(rf"JobId={job} .*?JobState=(\w+)", noted) for job in (cancelled, stopped)
    }
    assert states == {cancelled: ["CANCELLED"], stopped: ["PENDING", "COMPLETED"]}
    chosen = read_json(results / f"best_trial/{COHORT}/{MODEL}/{METHOD}.json")
    assert chosen["trials"]["complete"] + chosen["trials"]["pruned"] == trials
    files = [read_json(checkout.folder / path) for path in workers]
    assert len({file["journal"] for file in files}) == 1
    journal = results / f"search/{COHORT}/{MODEL}/{METHOD}" / files[0]["journal"]
    storage, _ = open_journal(journal)
    study = optuna.load_study(study_name=journal.stem, storage=storage)
    counted = [t.user_attrs[POSITION] for t in study.trials if t.state.name != "FAIL"]
    assert sorted(counted) == list(range(trials))


def end_two(folder, deadline: float) -> list[str]:
    """Cancel one worker at random while it runs trials, and send another SIGTERM; return both."""
    drawn, ended, seen = random.Random(0), [], 0
    while len(ended) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
        left = [job for job in running("search") if job not in ended]
        journals = list(folder.rglob("*.journal"))
        reported = journals[0].read_text().count('"intermediate_value"') if journals else 0
        if left and reported > seen + 2:
            ended.append(drawn.choice(left))
            signal = ["--signal=TERM"] if len(ended) == 2 else []
            subprocess.run(["scancel", *signal, ended[-1]], check=True)
            seen = reported
    return ended
