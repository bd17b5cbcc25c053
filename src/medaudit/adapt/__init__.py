"""From a model to predictions for a cohort; rules in ``workflow/rules/adapt.smk``.

In:  cohorts with embeddings or image stores, or a file of external predictions.
Out: one table of predictions per cohort, model and method, from the stages `probe`, `zero_shot`,
     `finetune` (one per seed; `merge_seeds` joins them), `ensemble` and `predictions` (external);
     the scores of remedies from `mitigate`.
May import: `medaudit.core`, `medaudit.data`, `medaudit.metrics`, `medaudit.training`,
     `medaudit.models`.
"""
