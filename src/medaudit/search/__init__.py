"""Search for which parameters to fine-tune (FairTune); rules in ``workflow/rules/search.smk``.

In:  cohorts, image stores, checkpoints.
Out: stages `search` (one worker of a shared journal of trials) and `best_trial`.
May import: `medaudit.core`, `medaudit.data`, `medaudit.metrics`, `medaudit.training`, `medaudit.models`,
     `medaudit.adapt`.
"""
