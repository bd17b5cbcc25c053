"""Names of the controls of a comparison of remedies, which several packages share."""

PLAIN = "plain"
"""Training with the mean loss: what every remedy is compared with."""
OTHER_SEEDS = "plain_other_seeds"
"""The same with other seeds: how much of a change is luck."""
BEST_SEED = "plain_best_seed"
"""The best of these seeds by the same rule: how much of a selection is luck."""
CONTROLS = (PLAIN, OTHER_SEEDS, BEST_SEED)

CONTROL, EMBEDDINGS, AFTER = "control", "embeddings", "after training"
"""Kinds of what is compared with plain training."""
