"""Find what each column of a predictions file is, by its name and by its content.

- `names`: the words of a column's name: truth, score, decision; and the stem between them.
- `content`: what a column holds: two values, probabilities, classes, dates.
- `candidates`: name and content together: what a column can be.
- `row_roles`: image, patient, split, task, model, seed: what identifies a row.
- `layouts`: which label belongs to which score: one task, several, classes, models.
- `choices`: the roles with the reason for each, to print and to save.
- `doubts`: what looks wrong once labels and scores are read.
"""
