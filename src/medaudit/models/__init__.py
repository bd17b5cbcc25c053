"""Foundation models: weights, preprocessing, frozen embeddings, pretraining.

Rules in ``workflow/rules/models.smk``.

In:  image stores, cohorts, checkpoints.
Out: stages `embed` (one vector per image from a frozen model) and `pretrain` (weights made here).
Read in this order: `interface` (what every model offers, and its preprocessing), `capabilities`
     (what each kind of model can do), `kinds` (one module per kind, found by name, and `build`),
     `weights` (find and verify a file, read every format without executing anything, load it
     strictly), `torch_encoder` and `vision_language` (shared by the kinds made of torch),
     `bert_text` and `swin_layout` (parts of vision-language models), then the stages.
May import: `medaudit.core`, `medaudit.data`, `medaudit.training`. Torch is imported by the modules
     that need it, never by `models.capabilities`, `models.kinds` or `models.weights.files`.
"""
