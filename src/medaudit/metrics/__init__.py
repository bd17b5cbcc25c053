"""Metrics of groups, gaps between groups, intervals, permutation nulls: the audit's mathematics.

In:  arrays and tables of scores, labels, patients and groups.
Out: functions that `medaudit.audit`, `medaudit.adapt` and `medaudit.score` call.
May import: `medaudit.core`. No torch.
"""
