"""From the owner's files to cohorts and decoded images; rules in ``workflow/rules/data.smk``.

In:  tables and images as their owners ship them, or the embedded tables and phantom pixels.
Out: stages `manifest` (one row per image), `cohort` (a selection with splits and its card) and
     `images` (decoded once, memory-mapped).
Inside: `datasets` (one loader per owner), `readers` (file formats), `cohort` (builders),
     `images` (the store), `phantoms` (synthetic pictures and tables).
May import: `medaudit.core`.
"""
