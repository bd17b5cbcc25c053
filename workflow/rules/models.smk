# INPUTS  results/cohort/{cohort}, results/images/{cohort}
# OUTPUTS results/pretrain/{pretraining}: weights made here, and their card;
#         results/embed/{cohort}/{model}: one vector per image, computed once for all methods


rule pretrain:
    input:
        images=pretraining_files("cohorts", rules.images.output),
        cohorts=pretraining_files("cohorts", rules.cohort.output.table),
        audited=pretraining_files("audited", rules.cohort.output.table),
    output:
        weights="results/pretrain/{pretraining}.safetensors",
        card="results/pretrain/{pretraining}.json",
        snapshots=directory("results/pretrain/{pretraining}_snapshots"),
    log:
        "results/log/pretrain/{pretraining}.log",
    benchmark:
        "results/benchmark/pretrain/{pretraining}.tsv"
    conda:
        "../../envs/medaudit.yaml"
    resources:
        processes=1,
    params:
        settings=settings_of("pretrain"),
        code=code_of("pretrain"),
        stores=image_stores,
    shell:
        "exec python -m medaudit.models.pretrain --settings {params.settings:q} --code {params.code}"
        " --images {params.stores} --cohorts {input.cohorts} --audited {input.audited}"
        " --output {output.weights} --card {output.card} --threads {threads}"
        " --processes {resources.processes} > {log} 2>&1"


rule embed:
    input:
        cohort=rules.cohort.output.table,
        images=rules.images.output,
        weights=weights_of,
    output:
        "results/embed/{cohort}/{model}.parquet",
    log:
        "results/log/embed/{cohort}/{model}.log",
    wildcard_constraints:
        model=models_of(ensembles=False),
    cache: True
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("embed"),
        code=code_of("embed"),
        stores=image_stores,
    shell:
        "python -m medaudit.models.embed --settings {params.settings:q} --code {params.code}"
        " --cohort {input.cohort} --images {params.stores} --output {output} --threads {threads}"
        " > {log} 2>&1"
