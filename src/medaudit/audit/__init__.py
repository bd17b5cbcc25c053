"""From predictions to metrics, gaps and where a gap came from; rules in ``audit.smk``.

In:  predictions and cohorts (for `attribute_probes` also embeddings).
Out: stages `evaluate` (metrics by group), `disparity` (gaps), `dialects` (each paper's own
     definitions), `gap_decomposition`, `attribute_probes`, `conditional_gaps` (at equal age, view,
     ...), `sensitivity` (what would make a gap vanish) and `lint` (protocol checks).
May import: `medaudit.core`, `medaudit.data`, `medaudit.metrics`. No torch.
"""
