"""Figures of a study; importing a module of this package imports matplotlib."""
