"""What a column of a predictions file holds: two values, probabilities, classes, dates."""

import re
from functools import cached_property

import numpy as np
import pandas as pd

from medaudit.adapt.predictions.label_words import NEGATIVE, POSITIVE
from medaudit.data.readers.sheet import as_text, has_decimal_commas

MOST_LEVELS = 50
STRAY = 0.05
"""Share of texts in a column of numbers that are taken for errors, which the reader then names."""
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}.*|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}( .*)?")
_OUTCOMES = {"tp", "tn", "fp", "fn", "true positive", "true negative", "false positive"}
_OUTCOMES |= {"false negative", "correct", "incorrect", "wrong", "right", "hit", "miss"}


class Content:
    """The content of a column, each fact found when it is first asked for.

    Parameters
    ----------
    values : pandas.Series
        The column; blanks are missing.
    """

    def __init__(self, values: pd.Series) -> None:
        self.values = values

    @cached_property
    def n(self) -> int:
        """Number of values that are not blank."""
        return int(self.values.notna().sum())

    @cached_property
    def n_levels(self) -> int:
        """Number of distinct values."""
        return int(self.values.nunique())

    @cached_property
    def levels(self) -> list[str]:
        """Distinct values as text, in order; none if there are more than `MOST_LEVELS`."""
        if self.n_levels > MOST_LEVELS:
            return []
        found = as_text(pd.Series(self.values.dropna().unique())).str.strip()
        return sorted(set(found))

    @cached_property
    def folded(self) -> set[str]:
        """`levels` in lower case, with ``1.0`` as ``1``."""
        return {re.sub(r"^([-+]?\d+)\.0+$", r"\1", level.casefold()) for level in self.levels}

    @cached_property
    def numbers(self) -> np.ndarray | None:
        """The values as numbers, NaN where blank or a stray text; None if more are no numbers."""
        values = self.values
        if pd.api.types.is_bool_dtype(values) or pd.api.types.is_numeric_dtype(values):
            return values.astype(float).to_numpy(float, na_value=np.nan)
        if not pd.api.types.is_string_dtype(values) and values.dtype != object:
            return None
        text = values.astype("str").where(values.notna())
        head = pd.to_numeric(text.dropna().head(50).str.replace(",", "."), errors="coerce")
        if head.isna().mean() > STRAY:  # most columns of text end here
            return None
        plain = text.str.replace(",", ".") if has_decimal_commas(text) else text
        found = pd.to_numeric(plain, errors="coerce")
        stray = (found.isna() & values.notna()).sum()
        return None if stray > STRAY * max(self.n, 1) else found.to_numpy(float)

    @cached_property
    def filled(self) -> np.ndarray:
        """The finite numbers; empty if the column holds no numbers."""
        numbers = self.numbers
        return np.empty(0) if numbers is None else numbers[np.isfinite(numbers)]

    @property
    def is_numeric(self) -> bool:
        """Whether every value is a number."""
        return len(self.filled) > 0

    @cached_property
    def is_whole(self) -> bool:
        """Whether every value is a whole number."""
        return self.is_numeric and bool((self.filled % 1 == 0).all())

    @cached_property
    def is_unit(self) -> bool:
        """Whether every value is a number in [0, 1]."""
        return self.is_numeric and bool(((self.filled >= 0) & (self.filled <= 1)).all())

    @property
    def is_continuous(self) -> bool:
        """Whether the values are numbers with fractions, as scores are."""
        return self.is_numeric and not self.is_whole

    @property
    def is_binary(self) -> bool:
        """Whether the values are words for positive and negative: 0 and 1, yes and no."""
        return 0 < len(self.folded) <= 2 and self.folded <= POSITIVE | NEGATIVE

    @property
    def is_outcome(self) -> bool:
        """Whether the values are outcomes of a decision: TP, FP, TN, FN."""
        return len(self.folded) > 1 and self.folded <= _OUTCOMES

    @cached_property
    def is_date(self) -> bool:
        """Whether the values are dates."""
        if pd.api.types.is_datetime64_any_dtype(self.values):
            return True
        if self.is_whole:
            return bool(((self.filled > 19000101) & (self.filled < 21001231)).all())
        shown = self.values.dropna().astype("str").head(200)
        return len(shown) > 0 and bool(shown.str.fullmatch(_DATE.pattern).all())

    @property
    def is_unique(self) -> bool:
        """Whether no value is blank and none is repeated."""
        return self.n_levels == len(self.values)
