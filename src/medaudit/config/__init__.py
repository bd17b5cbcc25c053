"""From YAML files to jobs: which runs there are, and what each job depends on.

In:  the catalogues and ``config.yaml`` of the user, and their JSON schemas.
Out: a checked configuration (`validation`), the runs of each study (`runs`), and for each job its
     settings and the hash of its code (`jobs`). Every error in a configuration is found here,
     before any job starts. Used by ``workflow/rules/common.smk``.
May import: `medaudit.core`, `medaudit.metrics`, `medaudit.data`, `medaudit.models` (without torch).
"""
