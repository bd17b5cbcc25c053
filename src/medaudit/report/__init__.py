"""Tables, figures and the page people read; rules in ``workflow/rules/report.smk``.

In:  everything that `medaudit.audit` made, cards, predictions' footers.
Out: stages `compare` (facts, tables and figures of a study) and `report` (``report.html`` and
     ``run.json``).
Inside: `studies` (analysis), `tables`, `figures`, `page` (HTML), `wording` (words and numbers).
May import: `medaudit.core`, `medaudit.config`, `medaudit.data`, `medaudit.metrics`,
     `medaudit.audit`. No torch.
"""
