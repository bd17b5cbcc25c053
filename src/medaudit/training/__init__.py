"""Training machinery that pretraining and fine-tuning share.

In:  image stores, settings.
Out: batches, augmentation, schedules, processes, checkpoints, resuming after a signal.
May import: `medaudit.core`, `medaudit.data`.
"""
