"""Binned scores by group, for curves and the threshold slider; findings that a model misses."""
