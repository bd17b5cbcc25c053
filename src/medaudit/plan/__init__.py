"""Planning a study: simulated patients, and how many of them an audit needs.

In:  what is expected of a study: groups, prevalence, images per patient, metric and gap.
Out: simulated predictions with known truth, and the number of patients or the gap that the
     audit's own test finds with the wanted power.
May import: `medaudit.core`, `medaudit.metrics`, `medaudit.audit`.
"""
