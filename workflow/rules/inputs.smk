# Input functions, in the order of the rule files that use them. They are not in those files because
# Snakemake's linter wants functions and rules apart.


# ---------------------------------------------------------------------------------------- data.smk
def manifest_tables(wildcards):
    """The owner's tables, so that a newer file is noticed; embedded ones come with the package."""
    entry = {**config["datasets"][wildcards.dataset], "name": wildcards.dataset}
    return [str(path) for path in source_tables(entry)]


def manifest_of(suffix):
    """The table or card of the manifest of a cohort's dataset."""
    datasets = {name: entry["dataset"] for name, entry in config["cohorts"].items()}
    return lambda wildcards: f"results/manifest/{datasets[wildcards.cohort]}.{suffix}"


def split_file(wildcards):
    """The published split that a cohort follows, where one is configured."""
    name = config["cohorts"][wildcards.cohort].get("split_file")
    return [str(data_root() / name)] if name else []


def parents_of(wildcards):
    """The cohorts that an external cohort is made of: where models are trained, and elsewhere."""
    if not is_external(config, wildcards.cohort):
        return []
    pair = home_of(config, wildcards.cohort), store_of(config, wildcards.cohort)
    return [f"results/cohort/{name}.parquet" for name in pair]


def seen_lists(wildcards):
    """Lists of pretraining images of the models that are audited on a cohort."""
    return list_files(config, wildcards.cohort)


# -------------------------------------------------------------- models.smk, search.smk, adapt.smk
def pretraining_files(axis, pattern):
    """`pattern` for the cohorts that a pretraining lists under `axis`."""
    return lambda wildcards: expand(
        pattern, cohort=config["pretrainings"][wildcards.pretraining][axis]
    )


def weights_of(wildcards):
    """The weights of a model that this run pretrains, or the file of a model's stored vectors."""
    entry = config["models"][wildcards.model]
    if entry["kind"] == "embeddings":
        names = [
            entry["file"],
            *filter(None, [entry["ids"] if entry["file"].endswith(".npy") else None]),
        ]
        return [str(data_root() / name) for name in names]
    return [pretraining_output(entry)] if entry.get("pretrained") else []


def extra_search_workers():
    """Outputs of all search workers but the first: requested by `all`, read by no rule."""
    path = "results/search/{cohort}/{model}/{method}/{worker}.json"
    return [path.format(**worker) for worker in jobs.extra_search_workers(config)]


def best_trial_of(wildcards):
    """The best point found for a method that is searched; nothing for other methods."""
    searched = METHODS[wildcards.method]["kind"] == "search"
    path = "results/best_trial/{cohort}/{model}/{method}.json"
    return expand(path, **wildcards) if searched else []


def seeds_of(wildcards):
    """The predictions of a fine-tuning: one file for each seed, or each range of seeds."""
    return expand(
        rules.finetune.output.predictions,
        **wildcards,
        seed=seed_jobs(config, **wildcards),
    )


def members_of(wildcards):
    """The predictions of an ensemble's members."""
    return expand(
        "results/predictions/{cohort}/{member}/{method}.parquet",
        **wildcards,
        member=config["models"][wildcards.model]["members"],
    )


def at_home(wildcards):
    """The wildcards of the training whose weights predict an external cohort."""
    return {**dict(wildcards), "cohort": home_of(config, wildcards.cohort)}


def home_predictions_of(wildcards):
    """The predictions of the home cohort by the same model and method."""
    return rules.evaluate.input.predictions.format(**at_home(wildcards))


def home_table_of(wildcards):
    """The table of the home cohort."""
    return expand(rules.cohort.output.table, **at_home(wildcards))


def home_groups_of(wildcards):
    """The groups of the home cohort."""
    return expand(rules.groups.output.table, **at_home(wildcards))


def carried_weights_of(wildcards):
    """What was trained at home: heads of a probe, or tuned weights; nothing of a zero-shot method."""
    home, kind = at_home(wildcards), METHODS[wildcards.method]["kind"]
    if kind == "probe":
        return expand(rules.probe.output.weights, **home)
    if kind == "zero_shot":
        return []
    return expand(rules.finetune.output.weights, **home, seed=seed_jobs(config, **home))


def carried_point_of(wildcards):
    """The best point of a search at home; nothing for other methods."""
    searched = METHODS[wildcards.method]["kind"] == "search"
    return (
        expand(rules.best_trial.output.point, **at_home(wildcards)) if searched else []
    )


def external_embeddings_of(wildcards):
    """Embeddings of the external images: of probes and zero-shot methods."""
    frozen = METHODS[wildcards.method]["kind"] in ("probe", "zero_shot")
    away = {**dict(wildcards), "cohort": store_of(config, wildcards.cohort)}
    return expand(rules.embed.output, **away) if frozen else []


def external_images_of(wildcards):
    """The image store of the external cohort: of fine-tuned models."""
    frozen = METHODS[wildcards.method]["kind"] in ("probe", "zero_shot")
    away = store_of(config, wildcards.cohort)
    return [] if frozen else expand(rules.images.output, cohort=away)


def own_cohorts(cohorts):
    """The cohorts that are not external ones; the lint has checked what those are made of."""
    return [name for name in cohorts if not is_external(config, name)]


def stores_of(cohorts):
    """The image stores that have the images of cohorts."""
    names = dict.fromkeys(store_of(config, name) for name in cohorts)
    return expand(rules.images.output, cohort=names)


def scores_of(wildcards):
    """The user's file of scores of a model that was run elsewhere, or a model's own outputs."""
    entry = config["models"][wildcards.model]
    if "output" in entry:
        return expand(rules.embed.output, **wildcards)
    return str(data_root() / entry["file"])


# --------------------------------------------------------------------------- audit.smk, report.smk
def fill(pattern, runs):
    """`pattern` for each run, without duplicates."""
    return list(dict.fromkeys(pattern.format(**run) for run in runs))


def of_studies(studies, pattern):
    """`pattern` for every run of the studies."""
    return fill(pattern, [run for study in studies for run in jobs.runs(config, study)])


def of_study(pattern):
    """`pattern` for every run of one study."""
    return lambda wildcards: of_studies([wildcards.study], pattern)


def if_requested(stage, pattern):
    """`pattern` for the runs of a study whose tables or figures need this optional stage."""
    return lambda wildcards: fill(
        pattern, jobs.runs_needing(config, wildcards.study, stage)
    )


def cards_of(wildcards):
    """The cards of a study's cohorts."""
    runs = jobs.runs(config, wildcards.study)
    return fill(rules.groups.output.card, runs)


def audit_cards(wildcards):
    """The audit card, where the configuration names one."""
    return [config["audit_card"]] if "audit_card" in config else []


def predictions_on(wildcards):
    """The predictions on one cohort by all studies of this run."""
    runs = [run for study in USED["studies"] for run in jobs.runs(config, study)]
    here = [run for run in runs if run["cohort"] == wildcards.cohort]
    return fill("results/predictions/{cohort}/{model}/{method}.parquet", here)
