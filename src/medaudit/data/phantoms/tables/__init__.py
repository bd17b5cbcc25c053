"""Synthetic tables in the layout of owners whose tables are not embedded."""
