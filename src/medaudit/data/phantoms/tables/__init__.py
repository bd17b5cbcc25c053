"""Synthetic tables in their owners' layouts, for datasets whose tables are not embedded."""
