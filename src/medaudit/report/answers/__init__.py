"""What an audit says about each model, as plain data: values in people, verdicts, sentences.

`medaudit.report.answers.structure` has the data classes. They know nothing of HTML: the page, the
summary and the terminal print the same sentences from them.

In:  the metrics and gaps of a study (`medaudit.report.studies.evidence`).
Out: `StudyAnswers`, also as JSON (``results/tables/<study>/answers.json``).
"""
