"""Training code that pretraining and fine-tuning share.

In:  image stores, settings.
Out: batches, augmentation, learning-rate schedules, distributed processes, checkpoints, and
     resuming after preemption (SIGTERM).
May import: `medaudit.core`, `medaudit.data`.
"""
