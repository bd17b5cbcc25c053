"""Synthetic pictures for cohorts without image files, with a planted difference between groups."""
