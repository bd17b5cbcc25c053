"""Tables, figures and the page that people read; rules in ``workflow/rules/report.smk``.

In:  results of `medaudit.audit`, cards of cohorts, image stores and pretrainings, findings of the
     lint, footers of predictions.
Out: stages `compare` (facts, tables and figures of a study), `report` (``report.html`` and
     ``run.json``) and `gate` (verdicts of a study with a gate, or exit code 3).
May import: `medaudit.core`, `medaudit.config`, `medaudit.data`, `medaudit.metrics`,
     `medaudit.audit`. No torch.

In reading order, stage `compare`:

- `studies.evidence`: the merged metrics, gaps and cohort cards of a study (`Evidence`).
- `studies.extras`: results of optional stages, and facts about models and methods (`Extras`).
- `studies.facts`: one tidy table of estimates, intervals and p-values, from `studies.differences`
  (paired differences between runs) and `studies.multiple_testing` (families of tests).
- `studies.context`: these three in one `Context`, the argument of every table and figure.
- `verdicts`: what a test shows (`Verdict`); `equivalence`: what a margin shows (`Equivalence`).
- `studies.contrasts`: paired contrasts between sets of runs, for the analyses of single papers:
  ``how_fair_*`` (Khan et al. 2023), ``fairtune_*`` (Dutt et al. 2024), `studies.levelling` (Sun et
  al. 2025), `studies.group_vs_average`, `studies.rank_tests`; `studies.published` has the papers'
  own numbers.
- `outputs`: makes the tables and figures that `medaudit.config.requests` registers.
- `tables`, `figures`: one function per table or figure; `tables.table` and `figures.style` write
  them.

Stage `report`:

- `page.content`: reads what `compare` wrote; `page.answers`, `page.gap_answers`,
  `page.how_fair_answers` and `page.fairtune_answers` put it into sentences.
- `page.render`: fills the templates.
- `wording`: names of metrics and statuses, numbers, null hypotheses, phrases, disclaimers.

Stage `gate`: judges the gaps of a study with a gate after the report is written.
"""
