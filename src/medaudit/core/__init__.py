"""Contracts that everything else relies on: errors, seeds, table schemas, atomic writes.

In:  nothing of medaudit.
Out: `errors`, `seeds`, `files`, `atomic`; `table_io` (schemas, readers and writers of the tables
     that stages exchange), `audit_tables`, `embeddings`, `statuses`; types of the configuration
     (`entry_types`) and of JSON files (`documents`); `code_version`, `result_records`,
     `run_locks`; and `stage`, the command line of every stage.
May import: no other package, and no torch.
"""
