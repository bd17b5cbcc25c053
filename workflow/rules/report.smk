# INPUTS  results/evaluate, results/disparity, cards; results of stages that requested outputs need
# OUTPUTS results/compare, results/tables, results/figures; results/report.html, results/run.json;
#         results/gate of studies with a gate


rule compare:
    input:
        metrics=of_study(rules.evaluate.output.metrics),
        replicates=of_study(rules.evaluate.output.replicates),
        gaps=of_study(rules.disparity.output.gaps),
        nulls=of_study(rules.disparity.output.null),
        cards=cards_of,
        dialects=if_requested("dialects", rules.dialects.output.table),
        dialect_replicates=if_requested("dialects", rules.dialects.output.replicates),
        parts=if_requested("gap_decomposition", rules.gap_decomposition.output[0]),
        probes=if_requested("attribute_probes", rules.attribute_probes.output.probes),
        conditional=if_requested("conditional_gaps", rules.conditional_gaps.output[0]),
        sensitivity=if_requested("sensitivity", rules.sensitivity.output[0]),
        shift=if_requested("shift", rules.shift.output.parts),
        local=if_requested("shift", rules.shift.output.local),
        remedies=if_requested("remedies", rules.remedies.output[0]),
        predictions=if_requested("footers", rules.evaluate.input.predictions),
        searches=if_requested("best_trial", rules.best_trial.output.point),
        trials=if_requested("best_trial", rules.best_trial.output.trials),
    output:
        facts="results/compare/{study}.csv",
        tables=for_report("tables", "{table}.html"),
        figures=for_report("figures", "{figure}.svg"),
    log:
        "results/log/compare/{study}.log",
    benchmark:
        "results/benchmark/compare/{study}.tsv"
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("compare"),
        code=code_of("compare"),
    shell:
        "python -m medaudit.report.compare --settings {params.settings:q} --code {params.code}"
        " --metrics {input.metrics} --gaps {input.gaps} --cards {input.cards}"
        " --dialects {input.dialects} --parts {input.parts} --probes {input.probes}"
        " --conditional {input.conditional} --sensitivity {input.sensitivity}"
        " --shift {input.shift}"
        " --remedies {input.remedies}"
        " --predictions {input.predictions} --searches {input.searches} --output {output.facts}"
        " --tables {output.tables} --figures {output.figures} > {log} 2>&1"


rule report:
    input:
        compare=expand(rules.compare.output.facts, study=USED["studies"]),
        tables=expand(rules.compare.output.tables, study=USED["studies"]),
        figures=expand(rules.compare.output.figures, study=USED["studies"]),
        cards=expand(rules.groups.output.card, cohort=USED["cohorts"]),
        cohorts=expand(rules.cohort.output.table, cohort=USED["cohorts"]),
        groups=expand(rules.groups.output.table, cohort=USED["cohorts"]),
        lint=expand(rules.lint.output, cohort=own_cohorts(USED["cohorts"])),
        images=stores_of(USED["cohorts"]),
        pretrainings=expand(
            rules.pretrain.output.card,
            pretraining=pretrainings_of(USED["models"], config),
        ),
        predictions=of_studies(USED["studies"], rules.evaluate.input.predictions),
        audit_card=audit_cards,
    output:
        page=report(
            "results/report.html",
            caption="../report/page.rst",
            category="Report",
            labels={"page": "report"},
        ),
        record="results/run.json",
        summary="results/summary.html",
        missed=directory("results/missed"),
    log:
        "results/log/report.log",
    benchmark:
        "results/benchmark/report.tsv"
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("report"),
        code=code_of("report"),
        stores=image_stores,
    shell:
        "python -m medaudit.report.report --settings - --code {params.code}"
        " --compare {input.compare} --tables {input.tables} --figures {input.figures}"
        " --cards {input.cards} --cohorts {input.cohorts} --groups {input.groups}"
        " --lint {input.lint} --missed {output.missed} --summary {output.summary}"
        " --stores {params.stores} --pretrainings {input.pretrainings}"
        " --predictions {input.predictions} --audit-card {input.audit_card}"
        " --output {output.page} --run {output.record}"
        " > {log} 2>&1 <<< {params.settings:q}"


# Fails with exit code 3 and a list, after the report is written, if gaps do not keep their margins.
rule gate:
    input:
        gaps=of_study(rules.disparity.output.gaps),
        page=rules.report.output.page,
    output:
        "results/gate/{study}.json",
    log:
        "results/log/gate/{study}.log",
    benchmark:
        "results/benchmark/gate/{study}.tsv"
    conda:
        "../../envs/medaudit.yaml"
    params:
        settings=settings_of("gate"),
        code=code_of("gate"),
    shell:
        "python -m medaudit.report.gate --settings {params.settings:q} --code {params.code}"
        " --gaps {input.gaps} --page {input.page} --output {output} > {log} 2>&1"
