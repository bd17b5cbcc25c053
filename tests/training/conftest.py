from finetune_case import data  # noqa: F401 -- a fixture of tests on fine-tuning
