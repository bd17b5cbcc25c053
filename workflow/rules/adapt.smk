# INPUTS  results/cohort/{cohort}, results/embed/{cohort}/{model}
# OUTPUTS results/predictions/{cohort}/{model}/{method}


rule probe:
    input:
        cohort=rules.cohort.output.table,
        embeddings=rules.embed.output,
    output:
        "results/predictions/{cohort}/{model}/{method}.parquet",
    log:
        "results/log/probe/{cohort}/{model}/{method}.log",
    benchmark:
        "results/benchmark/probe/{cohort}/{model}/{method}.tsv"
    wildcard_constraints:
        method=methods_of("probe"),
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=method_settings,
        code=probe_code,
    shell:
        "python -m medaudit.probe --settings {params.settings:q} --cohort {input.cohort}"
        " --embeddings {input.embeddings} --output {output} > {log} 2>&1"
