"""Metrics of groups, gaps between groups, intervals, permutation nulls: the audit's mathematics.

In:  arrays and tables of scores, labels, patients and groups.
Out: functions that `medaudit.audit`, `medaudit.adapt` and `medaudit.score` call.
May import: `medaudit.core`. No torch.

In reading order, from predictions to the table of metrics:

- `audit_settings`: what an audit is asked for.
- `sample`: the test split as arrays (`Sample`); `attributes` codes its groups and
  `thresholds` turns its scores into decisions.
- `sorted_scores`: the images of one task and seed, sorted once by score (`SortedScores`), and
  what each image adds to a sum; `calibration` fits their logistic calibration.
- `definitions`: every metric as a formula of sums over a group's images (`METRICS`);
  `aliases`: other names of theirs.
- `engine`: from sorted scores and weights to metric values; `bootstrap_kernels` and
  `permutation_kernels` are its compiled loops.
- `group_metrics`: values, counts and statuses of all groups of an attribute (`GroupMetrics`).
- `resampling`: bootstrap weights and permutations, from the generator in `random_streams`.
- `replicates`: the bootstrap replicates of all attributes, from the same draws of patients.
- `metrics_table`: `GroupMetrics` as rows of a table, and back; `threshold_rows`: the thresholds.
- `group_audit`: all of this in one call, with `intervals`.

From metrics to gaps:

- `gaps`: one number for how differently groups are treated (`GAPS`), with `gap_intervals` and
  `gap_tests` (p-value, smallest detectable difference).
- `permutation`: group metrics if groups did not matter; `task_dependence` corrects means over
  tasks, which are permuted independently.
- `fairness_definitions`: the fairness numbers of other papers.
- `rank_auc`: the AUC of one score under many labellings.
"""
