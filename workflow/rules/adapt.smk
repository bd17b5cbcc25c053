# INPUTS  results/cohort, results/images, results/embed; results/best_trial of searched methods
# OUTPUTS results/predictions/{cohort}/{model}/{method}; results/finetune: one file per job (a seed, or a range of seeds);
#         results/probe and results/finetune also keep the weights, with which `transfer` predicts external cohorts
#         results/mitigate/{cohort}/{model}


rule probe:
    input:
        cohort=rules.cohort.output.table,
        embeddings=rules.embed.output,
    output:
        predictions="results/predictions/{cohort}/{model}/{method}.parquet",
        weights="results/probe/{cohort}/{model}/{method}.safetensors",
    log:
        "results/log/probe/{cohort}/{model}/{method}.log",
    benchmark:
        "results/benchmark/probe/{cohort}/{model}/{method}.tsv"
    wildcard_constraints:
        cohort=cohorts_of(external=False),
        method=methods_of("probe"),
        model=models_of(ensembles=False),
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("probe"),
        code=code_of("probe"),
    shell:
        "python -m medaudit.adapt.probe --settings {params.settings:q} --code {params.code}"
        " --cohort {input.cohort} --embeddings {input.embeddings} --output {output.predictions}"
        " --weights {output.weights} > {log} 2>&1"


rule zero_shot:
    input:
        cohort=rules.cohort.output.table,
        embeddings=rules.embed.output,
        weights=weights_of,
    output:
        "results/predictions/{cohort}/{model}/{method}.parquet",
    log:
        "results/log/zero_shot/{cohort}/{model}/{method}.log",
    benchmark:
        "results/benchmark/zero_shot/{cohort}/{model}/{method}.tsv"
    wildcard_constraints:
        cohort=cohorts_of(external=False),
        method=methods_of("zero_shot"),
        model=models_of(ensembles=False),
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("zero_shot"),
        code=code_of("zero_shot"),
    shell:
        "python -m medaudit.adapt.zero_shot --settings {params.settings:q} --code {params.code}"
        " --cohort {input.cohort} --embeddings {input.embeddings} --output {output} > {log} 2>&1"


rule finetune:
    input:
        cohort=rules.cohort.output.table,
        images=rules.images.output,
        weights=weights_of,
        point=best_trial_of,
    output:
        predictions="results/finetune/{cohort}/{model}/{method}/{seed}.parquet",
        weights="results/finetune/{cohort}/{model}/{method}/{seed}.safetensors",
    log:
        "results/log/finetune/{cohort}/{model}/{method}/{seed}.log",
    benchmark:
        "results/benchmark/finetune/{cohort}/{model}/{method}/{seed}.tsv"
    wildcard_constraints:
        model=models_of(ensembles=False),
    conda:
        "../../envs/medaudit.yaml"
    resources:
        processes=1,
    params:
        settings=settings_of("finetune"),
        code=code_of("finetune"),
        stores=image_stores,
        point=search_point,
    shell:
        "exec python -m medaudit.adapt.finetune --settings {params.settings:q} --code {params.code}"
        " --cohort {input.cohort} --images {params.stores} --output {output.predictions}"
        " --weights {output.weights} --threads {threads}"
        " --processes {resources.processes} {params.point} > {log} 2>&1"


rule merge_seeds:
    input:
        seeds_of,
    output:
        "results/predictions/{cohort}/{model}/{method}.parquet",
    log:
        "results/log/merge_seeds/{cohort}/{model}/{method}.log",
    wildcard_constraints:
        cohort=cohorts_of(external=False),
        method=methods_of("finetune", "search"),
        model=models_of(ensembles=False),
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("merge_seeds"),
        code=code_of("merge_seeds"),
    shell:
        "python -m medaudit.adapt.merge_seeds --settings {params.settings:q} --code {params.code}"
        " --seeds {input} --output {output} > {log} 2>&1"


rule ensemble:
    input:
        members_of,
    output:
        "results/predictions/{cohort}/{model}/{method}.parquet",
    log:
        "results/log/ensemble/{cohort}/{model}/{method}.log",
    wildcard_constraints:
        model=models_of(ensembles=True),
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("ensemble"),
        code=code_of("ensemble"),
    shell:
        "python -m medaudit.adapt.ensemble --settings {params.settings:q} --code {params.code}"
        " --predictions {input} --output {output} > {log} 2>&1"


rule predictions:
    input:
        cohort=rules.cohort.output.table,
        scores=scores_of,
    output:
        "results/predictions/{cohort}/{model}/{method}.parquet",
    log:
        "results/log/predictions/{cohort}/{model}/{method}.log",
    wildcard_constraints:
        method=methods_of("given"),
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("predictions"),
        code=code_of("predictions"),
    shell:
        "python -m medaudit.adapt.predictions --settings {params.settings:q} --code {params.code}"
        " --cohort {input.cohort} --scores {input.scores} --output {output} > {log} 2>&1"


rule mitigate:
    input:
        cohort=rules.cohort.output.table,
        groups=rules.groups.output.table,
        embeddings=rules.embed.output,
    output:
        "results/mitigate/{cohort}/{model}.parquet",
    log:
        "results/log/mitigate/{cohort}/{model}.log",
    benchmark:
        "results/benchmark/mitigate/{cohort}/{model}.tsv"
    wildcard_constraints:
        model=models_of(ensembles=False),
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("mitigate"),
        code=code_of("mitigate"),
    shell:
        "python -m medaudit.adapt.mitigate --settings {params.settings:q} --code {params.code}"
        " --cohort {input.cohort} --groups {input.groups} --embeddings {input.embeddings}"
        " --output {output} --threads {threads} > {log} 2>&1"


rule transfer:
    input:
        cohort=rules.cohort.output.table,
        home=home_predictions_of,
        carried=carried_weights_of,
        embeddings=external_embeddings_of,
        images=external_images_of,
        weights=weights_of,
        point=carried_point_of,
    output:
        "results/predictions/{cohort}/{model}/{method}.parquet",
    log:
        "results/log/transfer/{cohort}/{model}/{method}.log",
    benchmark:
        "results/benchmark/transfer/{cohort}/{model}/{method}.tsv"
    wildcard_constraints:
        cohort=cohorts_of(external=True),
        method=methods_of("probe", "zero_shot", "finetune", "search"),
        model=models_of(ensembles=False),
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("transfer"),
        code=code_of("transfer"),
        sources=transfer_sources,
    shell:
        "python -m medaudit.adapt.transfer --settings {params.settings:q} --code {params.code}"
        " --cohort {input.cohort} --home {input.home} --output {output} --threads {threads}"
        " {params.sources} > {log} 2>&1"
