# INPUTS  results/predictions/{cohort}/{model}/{method}, results/cohort/{cohort}, results/groups/{cohort}
# OUTPUTS results/evaluate (metrics by group), results/disparity (gaps), results/dialects (each
#         paper's definitions), results/gap_decomposition and results/attribute_probes (where a gap
#         comes from), results/conditional_gaps (gaps at equal age, view, ...), results/sensitivity
#         (what would make a gap vanish), results/shift (why it changes elsewhere), results/remedies
#         (what remedies change); no torch from here on


rule evaluate:
    input:
        predictions="results/predictions/{cohort}/{model}/{method}.parquet",
        cohort=rules.cohort.output.table,
        groups=rules.groups.output.table,
    output:
        metrics="results/evaluate/{cohort}/{model}/{method}.csv",
        values="results/evaluate/{cohort}/{model}/{method}.parquet",
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
        "python -m medaudit.audit.evaluate --settings {params.settings:q} --code {params.code}"
        " --predictions {input.predictions} --cohort {input.cohort} --groups {input.groups}"
        " --output {output.metrics} --values {output.values} --replicates {output.replicates}"
        " --threads {threads} > {log} 2>&1"


rule disparity:
    input:
        predictions=rules.evaluate.input.predictions,
        cohort=rules.cohort.output.table,
        groups=rules.groups.output.table,
        metrics=rules.evaluate.output.values,
        replicates=rules.evaluate.output.replicates,
    output:
        gaps="results/disparity/{cohort}/{model}/{method}.csv",
        null="results/disparity/{cohort}/{model}/{method}.null.npy",
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
        "python -m medaudit.audit.disparity --settings {params.settings:q} --code {params.code}"
        " --predictions {input.predictions} --cohort {input.cohort} --groups {input.groups}"
        " --metrics {input.metrics} --replicates {input.replicates}"
        " --output {output.gaps} --null {output.null} --threads {threads} > {log} 2>&1"


rule dialects:
    input:
        predictions=rules.evaluate.input.predictions,
        cohort=rules.cohort.output.table,
        groups=rules.groups.output.table,
    output:
        table="results/dialects/{cohort}/{model}/{method}.csv",
        replicates="results/dialects/{cohort}/{model}/{method}.replicates.npy",
    log:
        "results/log/dialects/{cohort}/{model}/{method}.log",
    benchmark:
        "results/benchmark/dialects/{cohort}/{model}/{method}.tsv"
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("dialects"),
        code=code_of("dialects"),
    shell:
        "python -m medaudit.audit.dialects --settings {params.settings:q} --code {params.code}"
        " --predictions {input.predictions} --cohort {input.cohort} --groups {input.groups} --output {output.table}"
        " --replicates {output.replicates} --threads {threads} > {log} 2>&1"


rule gap_decomposition:
    input:
        predictions=rules.evaluate.input.predictions,
        cohort=rules.cohort.output.table,
        groups=rules.groups.output.table,
    output:
        "results/gap_decomposition/{cohort}/{model}/{method}.csv",
    log:
        "results/log/gap_decomposition/{cohort}/{model}/{method}.log",
    benchmark:
        "results/benchmark/gap_decomposition/{cohort}/{model}/{method}.tsv"
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("gap_decomposition"),
        code=code_of("gap_decomposition"),
    shell:
        "python -m medaudit.audit.gap_decomposition --settings {params.settings:q} --code {params.code}"
        " --predictions {input.predictions} --cohort {input.cohort} --groups {input.groups}"
        " --output {output} > {log} 2>&1"


rule attribute_probes:
    input:
        cohort=rules.cohort.output.table,
        groups=rules.groups.output.table,
        embeddings=rules.embed.output,
    output:
        probes="results/attribute_probes/{cohort}/{model}.csv",
        marginals="results/attribute_probes/{cohort}/{model}.marginals.csv",
    log:
        "results/log/attribute_probes/{cohort}/{model}.log",
    benchmark:
        "results/benchmark/attribute_probes/{cohort}/{model}.tsv"
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("attribute_probes"),
        code=code_of("attribute_probes"),
    shell:
        "python -m medaudit.audit.attribute_probes --settings {params.settings:q} --code {params.code} --cohort {input.cohort} --groups {input.groups}"
        " --embeddings {input.embeddings} --output {output.probes}"
        " --marginals {output.marginals} > {log} 2>&1"


rule conditional_gaps:
    input:
        predictions=rules.evaluate.input.predictions,
        cohort=rules.cohort.output.table,
        groups=rules.groups.output.table,
    output:
        "results/conditional_gaps/{cohort}/{model}/{method}.csv",
    log:
        "results/log/conditional_gaps/{cohort}/{model}/{method}.log",
    benchmark:
        "results/benchmark/conditional_gaps/{cohort}/{model}/{method}.tsv"
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("conditional_gaps"),
        code=code_of("conditional_gaps"),
    shell:
        "python -m medaudit.audit.conditional_gaps --settings {params.settings:q} --code {params.code}"
        " --predictions {input.predictions} --cohort {input.cohort} --groups {input.groups}"
        " --output {output} --threads {threads} > {log} 2>&1"


rule sensitivity:
    input:
        predictions=rules.evaluate.input.predictions,
        cohort=rules.cohort.output.table,
        groups=rules.groups.output.table,
    output:
        "results/sensitivity/{cohort}/{model}/{method}.csv",
    log:
        "results/log/sensitivity/{cohort}/{model}/{method}.log",
    benchmark:
        "results/benchmark/sensitivity/{cohort}/{model}/{method}.tsv"
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("sensitivity"),
        code=code_of("sensitivity"),
    shell:
        "python -m medaudit.audit.sensitivity --settings {params.settings:q} --code {params.code}"
        " --predictions {input.predictions} --cohort {input.cohort} --groups {input.groups}"
        " --output {output} > {log} 2>&1"


rule shift:
    input:
        predictions=rules.evaluate.input.predictions,
        cohort=rules.cohort.output.table,
        groups=rules.groups.output.table,
        home_predictions=home_predictions_of,
        home_cohort=home_table_of,
        home_groups=home_groups_of,
    output:
        parts="results/shift/{cohort}/{model}/{method}.csv",
        local="results/shift/{cohort}/{model}/{method}.local.csv",
    log:
        "results/log/shift/{cohort}/{model}/{method}.log",
    benchmark:
        "results/benchmark/shift/{cohort}/{model}/{method}.tsv"
    wildcard_constraints:
        cohort=cohorts_of(external=True),
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("shift"),
        code=code_of("shift"),
    shell:
        "python -m medaudit.audit.shift --settings {params.settings:q} --code {params.code}"
        " --predictions {input.predictions} --cohort {input.cohort} --groups {input.groups}"
        " --home-predictions {input.home_predictions} --home-cohort {input.home_cohort}"
        " --home-groups {input.home_groups} --output {output.parts} --local {output.local}"
        " > {log} 2>&1"


rule remedies:
    input:
        mitigated=rules.mitigate.output[0],
        cohort=rules.cohort.output.table,
        groups=rules.groups.output.table,
    output:
        "results/remedies/{cohort}/{model}.csv",
    log:
        "results/log/remedies/{cohort}/{model}.log",
    benchmark:
        "results/benchmark/remedies/{cohort}/{model}.tsv"
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("remedies"),
        code=code_of("remedies"),
    shell:
        "python -m medaudit.audit.remedies --settings {params.settings:q} --code {params.code}"
        " --mitigated {input.mitigated} --cohort {input.cohort} --groups {input.groups}"
        " --output {output} --threads {threads} > {log} 2>&1"


rule lint:
    input:
        cohort=rules.cohort.output.table,
        groups=rules.groups.output.table,
        images=rules.images.output,
        predictions=predictions_on,
        seen=seen_lists,
    output:
        "results/lint/{cohort}.json",
    log:
        "results/log/lint/{cohort}.log",
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("lint"),
        code=code_of("lint"),
        stores=image_stores,
    shell:
        "python -m medaudit.audit.lint --settings {params.settings:q} --code {params.code} --cohort {input.cohort} --groups {input.groups}"
        " --images {params.stores} --predictions {input.predictions} --output {output} > {log} 2>&1"
