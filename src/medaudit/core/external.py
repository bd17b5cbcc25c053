"""Names that all stages use for the cohort of a pair: a home cohort and an external one."""

import pandas as pd

LOCAL = "local"
"""Split of the external patients who are not in the test split."""

HOME = "home/"
"""Start of the ids of validation rows of the home cohort."""


def at_home(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with `HOME` before their ids, which another dataset may have too."""
    columns = [name for name in ("image_id", "patient_id", "path") if name in rows]
    return rows.assign(**{name: HOME + rows[name].astype("str") for name in columns})
