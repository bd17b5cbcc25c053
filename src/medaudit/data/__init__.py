"""From the owners' files to cohorts and decoded images; rules in ``workflow/rules/data.smk``.

In:  tables and images as their owners ship them, or embedded tables and phantom images.
Out: stages `manifest` (one row per image), `cohort` (a selection with splits and its card) and
     `images` (decoded once, memory-mapped).
Inside: `datasets` (one loader per owner, who knows the owner's tables and folders), `readers` (file
     formats, which know no owner), `phantoms` (synthetic images and tables, for a dataset without
     a folder), `cohort` (builders: who is selected and in which split), `images` (decodes a cohort
     into a store) and `image_store` (reads it).
May import: `medaudit.core`.
"""
