# INPUTS  results/predictions/{cohort}/{model}/{method}, results/cohort/{cohort}
# OUTPUTS results/evaluate (metrics by group), results/disparity (gaps); no torch from here on


rule evaluate:
    input:
        predictions="results/predictions/{cohort}/{model}/{method}.parquet",
        cohort=rules.cohort.output.table,
    output:
        metrics="results/evaluate/{cohort}/{model}/{method}.csv",
        replicates="results/evaluate/{cohort}/{model}/{method}.replicates.npy",
    log:
        "results/log/evaluate/{cohort}/{model}/{method}.log",
    benchmark:
        "results/benchmark/evaluate/{cohort}/{model}/{method}.tsv"
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("evaluate"),
        code=code_of("evaluate"),
    shell:
        "python -m medaudit.evaluate --settings {params.settings:q}"
        " --predictions {input.predictions} --cohort {input.cohort}"
        " --output {output.metrics} --replicates {output.replicates}"
        " --threads {threads} > {log} 2>&1"


rule disparity:
    input:
        predictions=rules.evaluate.input.predictions,
        cohort=rules.cohort.output.table,
        metrics=rules.evaluate.output.metrics,
        replicates=rules.evaluate.output.replicates,
    output:
        "results/disparity/{cohort}/{model}/{method}.csv",
    log:
        "results/log/disparity/{cohort}/{model}/{method}.log",
    benchmark:
        "results/benchmark/disparity/{cohort}/{model}/{method}.tsv"
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("disparity"),
        code=code_of("disparity"),
    shell:
        "python -m medaudit.disparity --settings {params.settings:q}"
        " --predictions {input.predictions} --cohort {input.cohort}"
        " --metrics {input.metrics} --replicates {input.replicates}"
        " --output {output} --threads {threads} > {log} 2>&1"


rule lint:
    input:
        cohort=rules.cohort.output.table,
        images=rules.images.output,
        predictions=predictions_on,
    output:
        "results/lint/{cohort}.json",
    log:
        "results/log/lint/{cohort}.log",
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("lint"),
        code=code_of("lint"),
    shell:
        "python -m medaudit.lint --settings {params.settings:q} --cohort {input.cohort}"
        " --images {input.images} --predictions {input.predictions} --output {output} > {log} 2>&1"
