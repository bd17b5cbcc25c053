"""The workflow as a user runs it: what runs, what runs again, what is refused before it starts."""

from zipfile import ZipFile

import pytest
import yaml

from checkout import Checkout

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]
SMOKE = ("--configfile", "config/smoke.yaml")
SUMMARIES = {"compare", "report"}
RUN = {"evaluate", "disparity", "dialects", "gap_decomposition"}
AUDIT = RUN | SUMMARIES


@pytest.fixture
def unedited(finished):
    """The finished checkout; a test's edits of its files are taken back."""
    names = [
        "config/smoke.yaml",
        "src/medaudit/adapt/probe/__init__.py",
        "src/medaudit/models/embed.py",
    ]
    before = {name: (finished.folder / name).read_bytes() for name in names}
    yield finished
    for name, content in before.items():
        (finished.folder / name).write_bytes(content)


def overlay(checkout: Checkout, **changes) -> tuple[str, ...]:
    """Write `changes` as a second overlay and return the arguments that use both."""
    path = checkout.folder / "config" / "change.yaml"
    path.write_text(yaml.safe_dump(changes))
    return (*SMOKE, "config/change.yaml")


def rules(jobs) -> set[str]:
    return {rule for rule, _ in jobs}


def test_a_finished_audit_has_its_artefacts_and_nothing_left_to_do(finished):
    results = finished.folder / "results"
    names = ["report.html", "run.json", "cohort/nih_6x200_small.parquet"]
    names += ["predictions/nih_6x200_small/pixels/linear.parquet", "tables", "figures"]
    assert [name for name in names if not (results / name).exists()] == []
    assert "Nothing to be done" in finished.snakemake(*SMOKE).stdout


def test_bootstrap_draws_rerun_the_audit_and_no_training(finished):
    args = overlay(finished, evaluation={"bootstrap": {"draws": 150}})
    assert rules(finished.plan(*args)) == AUDIT | {"attribute_probes"}


def test_another_list_of_metrics_reruns_no_dialects_decomposition_or_probes(finished):
    args = overlay(finished, evaluation={"metrics": ["auc", "brier"]})
    assert rules(finished.plan(*args)) == {"evaluate", "disparity", "sensitivity"} | SUMMARIES


def test_a_new_model_runs_its_own_jobs_and_the_summaries(finished):
    args = overlay(finished, studies={"clip_nih": {"models": ["pixels", "vit_random"]}})
    jobs = finished.plan(*args)
    own = [job for job in jobs if job[0] not in SUMMARIES]
    assert rules(own) == {"embed", "attribute_probes", "probe", "lint"} | RUN
    assert {wildcards.get("model", "vit_random") for _, wildcards in own} == {"vit_random"}
    assert {wildcards.get("study", "clip_nih") for _, wildcards in jobs} == {"clip_nih"}


@pytest.mark.parametrize("attributes", [["sex"], ["sex", "age_group", ["sex", "age_group"]]])
def test_another_attribute_reruns_the_audit_and_no_image_or_model(finished, attributes):
    cohorts = {"chexpert_balanced_smoke": {"attributes": attributes}}
    jobs = finished.plan(*overlay(finished, cohorts=cohorts))
    assert rules(jobs) == {"groups", "lint", "evaluate", "disparity", "sensitivity"} | SUMMARIES


def test_a_comment_reruns_nothing(unedited):
    path = unedited.folder / "src/medaudit/adapt/probe/__init__.py"
    path.write_text(path.read_text() + "\n# a remark\n")
    assert unedited.plan(*SMOKE) == []


def test_an_ensemble_runs_its_members_and_is_audited_but_never_embedded(finished):
    small = {"kind": "pixels", "dimension": 32, "licence": "none", "pretraining_data": []}
    both = {"kind": "ensemble", "members": ["pixels", "small"]}
    models = {"small": small, "both": both}
    args = overlay(finished, models=models, studies={"clip_nih": {"models": ["pixels", "both"]}})
    jobs = {(rule, wildcards.get("model")) for rule, wildcards in finished.plan(*args)}
    assert {("ensemble", "both"), ("evaluate", "both"), ("disparity", "both")} <= jobs
    made = {job for job in jobs if job[0] in {"embed", "probe", "finetune", "ensemble"}}
    assert made == {("embed", "small"), ("probe", "small"), ("ensemble", "both")}
    assert "small" not in {model for rule, model in jobs if rule == "evaluate"}


def test_an_edit_of_the_probe_reruns_probes_and_what_follows(unedited):
    path = unedited.folder / "src/medaudit/adapt/probe/__init__.py"
    path.write_text(path.read_text() + "\nEDITED = 1\n")
    assert rules(unedited.plan(*SMOKE)) == {"probe", "lint", "sensitivity"} | AUDIT


def test_an_age_threshold_leaves_the_other_cohort_alone(finished):
    args = overlay(finished, cohorts={"nih_6x200_small": {"age_threshold": 55}})
    jobs = finished.plan(*args)
    touched = {wildcards["cohort"] for _, wildcards in jobs if "cohort" in wildcards}
    assert touched == {"nih_6x200_small"}
    assert "manifest" not in rules(jobs)


def test_moving_the_planted_gap_redraws_the_images_of_that_dataset(finished):
    planted = [{"where": {"sex": "male"}, "findings": "all", "visibility": 0.5}]
    jobs = finished.plan(*overlay(finished, datasets={"nih": {"phantom": {"planted": planted}}}))
    first = {(rule, wildcards.get("cohort")) for rule, wildcards in jobs if rule == "images"}
    assert first == {("images", "nih_6x200_small")}
    assert not {"manifest", "cohort"} & rules(jobs)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"evaluaton": {}}, "key 'evaluaton' is unknown (did you mean 'evaluation'?)"),
        ({"run": ["clip"]}, "'clip' is unknown"),
        ({"studies": {"clip_nih": {"models": ["pixel"]}}}, "did you mean 'pixels'?"),
        ({"datasets": {"nih": {"folder": "nowhere"}}}, "there is no folder data/nowhere"),
    ],
)
def test_a_wrong_configuration_stops_before_any_job(finished, change, said):
    done = finished.snakemake(*overlay(finished, **change))
    assert done.returncode != 0
    assert said in done.stdout
    assert "Traceback" not in done.stdout
    assert "Job stats" not in done.stdout


def test_snakemakes_own_report_has_tables_figures_and_page_by_category(finished):
    done = finished.snakemake(*SMOKE, "--report", "report.zip")
    assert done.returncode == 0, done.stdout[-3000:]
    with ZipFile(finished.folder / "report.zip") as archive:
        files = archive.namelist()
        page = archive.read("report/report.html").decode()
    data = [name for name in files if "/data/" in name]
    results = finished.folder / "results"
    for kind, suffix in (("tables", "html"), ("figures", "svg")):
        made = {path.name for path in (results / kind).rglob(f"*.{suffix}")}
        assert made and made <= {name.rpartition("/")[2] for name in data}
    assert "report.html" in {name.rpartition("/")[2] for name in data}
    for said in ("Tables", "Figures", "CLIP-like models on the balanced NIH 6x200", "PHANTOM"):
        assert said in page, said
    assert "Nothing to be done" in finished.snakemake(*SMOKE).stdout
