# INPUTS  results/cohort/{cohort}, results/images/{cohort}
# OUTPUTS results/search/{cohort}/{model}/{method}: one file per worker, and the journal they share
#         (not declared, as it outlives the jobs); results/best_trial/{cohort}/{model}/{method}: the
#         best point


rule search:
    input:
        cohort=rules.cohort.output.table,
        images=rules.images.output,
        weights=weights_of,
    output:
        "results/search/{cohort}/{model}/{method}/{worker}.json",
    log:
        "results/log/search/{cohort}/{model}/{method}/{worker}.log",
    benchmark:
        "results/benchmark/search/{cohort}/{model}/{method}/{worker}.tsv"
    wildcard_constraints:
        method=methods_of("search"),
        model=models_of(ensembles=False),
    priority: 1
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("search"),
        code=code_of("search"),
        stores=image_stores,
    shell:
        "exec python -m medaudit.search.search --settings {params.settings:q} --code {params.code}"
        " --cohort {input.cohort} --images {params.stores} --output {output}"
        " --worker {wildcards.worker} --threads {threads} > {log} 2>&1"


# Needs only the first worker, so that more workers rerun nothing; every worker ends with the search.
rule best_trial:
    input:
        "results/search/{cohort}/{model}/{method}/0.json",
    output:
        point="results/best_trial/{cohort}/{model}/{method}.json",
        trials="results/best_trial/{cohort}/{model}/{method}.csv",
    log:
        "results/log/best_trial/{cohort}/{model}/{method}.log",
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("best_trial"),
        code=code_of("best_trial"),
    shell:
        "python -m medaudit.search.best_trial --settings {params.settings:q} --code {params.code}"
        " --search {input} --output {output.point} --trials {output.trials} > {log} 2>&1"
