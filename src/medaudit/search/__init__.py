"""Search for the parameters to fine-tune (FairTune); rules in ``workflow/rules/search.smk``.

In:  cohorts, image stores, checkpoints.
Out: stages `search` (one worker of a search, which shares its journal of trials with others) and
     `best_trial` (the best point of a search).
May import: `medaudit.core`, `medaudit.data`, `medaudit.metrics`, `medaudit.training`, `medaudit.models`,
     `medaudit.adapt`.
"""
