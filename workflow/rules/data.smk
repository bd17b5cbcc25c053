# INPUTS  the owners' tables and images, or the embedded tables and phantom pixels
# OUTPUTS results/manifest/{dataset}, results/cohort/{cohort}, results/groups/{cohort} (who is in
#         which group), results/images/{cohort}


rule manifest:
    input:
        manifest_tables,
    output:
        table="results/manifest/{dataset}.parquet",
        card="results/manifest/{dataset}.json",
    log:
        "results/log/manifest/{dataset}.log",
    benchmark:
        "results/benchmark/manifest/{dataset}.tsv"
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("manifest"),
        code=code_of("manifest"),
    shell:
        "python -m medaudit.data.manifest --settings {params.settings:q} --code {params.code}"
        " --output {output.table} --card {output.card} > {log} 2>&1"


rule cohort:
    input:
        manifest=manifest_of("parquet"),
        card=manifest_of("json"),
        split=split_file,
        parents=parents_of,
        seen=seen_lists,
    output:
        table="results/cohort/{cohort}.parquet",
        card="results/cohort/{cohort}.json",
    log:
        "results/log/cohort/{cohort}.log",
    benchmark:
        "results/benchmark/cohort/{cohort}.tsv"
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("cohort"),
        code=code_of("cohort"),
    shell:
        "python -m medaudit.data.cohort --settings {params.settings:q} --code {params.code}"
        " --manifest {input.manifest} --manifest-card {input.card} --parents {input.parents}"
        " --output {output.table} --card {output.card} > {log} 2>&1"


rule groups:
    input:
        cohort=rules.cohort.output.table,
        card=rules.cohort.output.card,
    output:
        table="results/groups/{cohort}.parquet",
        card="results/groups/{cohort}.json",
    log:
        "results/log/groups/{cohort}.log",
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("groups"),
        code=code_of("groups"),
    shell:
        "python -m medaudit.data.groups --settings {params.settings:q} --code {params.code}"
        " --cohort {input.cohort} --cohort-card {input.card}"
        " --output {output.table} --card {output.card} > {log} 2>&1"


rule images:
    input:
        cohort=rules.cohort.output.table,
    output:
        pixels="results/images/{cohort}/images.npy",
        index="results/images/{cohort}/index.parquet",
        card="results/images/{cohort}/card.json",
    log:
        "results/log/images/{cohort}.log",
    cache: True
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("images"),
        code=code_of("images"),
        store=image_store,
    shell:
        "python -m medaudit.data.images --settings {params.settings:q} --code {params.code} --cohort {input.cohort}"
        " --output {params.store} --threads {threads} > {log} 2>&1"
