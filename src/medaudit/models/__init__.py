"""Foundation models: weights, preprocessing, frozen embeddings, pretraining.

Rules in ``workflow/rules/models.smk``.

In:  image stores, cohorts, checkpoints.
Out: stages `embed` (one vector per image from a frozen model) and `pretrain` (weights made here).
Inside: `kinds` (one module per kind of model, found by name, and what each kind can do),
     `weights` (files, formats, strict loading without executing anything), `interface`.
May import: `medaudit.core`, `medaudit.data`, `medaudit.training`. Torch is imported by the modules
     that need it, never by `models.kinds` or `models.weights.files`.
"""
