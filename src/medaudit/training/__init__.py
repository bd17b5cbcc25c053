"""Machinery that pretraining and fine-tuning share: data path, schedules, processes, resuming."""
