"""A synthetic table in OASIS-1's layout, with its published counts, and small volumes."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from nibabel import AnalyzeHeader

# Number of sessions by label (CDR > 0), and by age (both ends included) or sex: the owner's table
# (nobody up to 60 has the label) and FairTune, Table 13.
AGES = {False: {(33, 60): 39, (61, 75): 52, (76, 94): 44}, True: {(62, 75): 45, (76, 96): 55}}
SEXES = {False: {"M": 38, "F": 97}, True: {"M": 41, "F": 59}}
GRADES: dict[bool, dict[float, int]] = {False: {0: 135}, True: {0.5: 70, 1: 28, 2: 2}}
UNRATED = {"M": 78, "F": 103}
RESCANS = 20
SIDE = 44  # voxels of a drawn volume from side to side and from below to above; a real one: 176
SLICES = 20  # its coronal slices; a real one has 208


def write_table(folder: Path, rows: int | None, rng: np.random.Generator) -> None:
    """Write ``oasis_cross-sectional.csv``, and for each session its volume's Analyze header.

    Labels, grades, sexes and ages up to 75 have the published counts (with `rows`: their share of
    this number of rated sessions); age and sex are independent within a label. Subjects without a
    rating are young; 20 of them have a second session (``_MR2``).
    """
    share = 1 if rows is None else rows / 235
    rated = [_draw_rated(rng, label, share) for label in (False, True)]
    table = pd.concat([*rated, _draw_unrated(rng, share)], ignore_index=True)
    table = table.iloc[rng.permutation(len(table))].reset_index(drop=True)
    table.insert(0, "ID", [f"OAS1_{number:04d}_MR1" for number in 1 + np.arange(len(table))])
    again = table[table["CDR"].isna()].head(max(1, round(RESCANS * share)))
    again = again.assign(ID=again["ID"].str.replace("_MR1", "_MR2"), Delay=rng.integers(1, 90))
    table = pd.concat([table, again], ignore_index=True)
    table.to_csv(folder / "oasis_cross-sectional.csv", index=False, na_rep="")
    header = make_header((SIDE, SLICES, SIDE))
    for number, session in enumerate(table["ID"]):
        path = folder / place_volume(session, number, len(table))
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as stream:
            header.write_to(stream)


def place_volume(session: str, number: int, count: int) -> str:
    """Return the path of a session's masked volume: on the owner's discs, without inner folders."""
    return f"disc{1 + 12 * number // count}/{session}_mpr_n4_anon_111_t88_masked_gfc.hdr"


def make_header(shape: tuple[int, int, int]) -> "AnalyzeHeader":
    """Return an Analyze 7.5 header like the owner's: int16, big-endian, four axes."""
    from nibabel import AnalyzeHeader

    header = AnalyzeHeader(endianness=">")
    header.set_data_dtype(np.int16)
    header.set_data_shape((*shape, 1))
    return header


def _draw_rated(rng: np.random.Generator, label: bool, share: float) -> pd.DataFrame:
    drawn = [
        rng.integers(low, high + 1, max(1, round(share * n)))
        for (low, high), n in AGES[label].items()
    ]
    ages = rng.permutation(np.concatenate(drawn))
    both = [np.repeat(sex, max(1, round(share * n))) for sex, n in SEXES[label].items()]
    sexes = rng.permutation(np.concatenate(both))
    grades = rng.permutation(np.repeat(list(GRADES[label]), list(GRADES[label].values())))
    n = min(len(ages), len(sexes))
    return _table(rng, sexes[:n], ages[:n], grades[np.arange(n) % len(grades)])


def _draw_unrated(rng: np.random.Generator, share: float) -> pd.DataFrame:
    sexes = np.repeat(list(UNRATED), [max(1, round(share * n)) for n in UNRATED.values()])
    ages = (18 + 32 * rng.beta(0.9, 2.5, len(sexes))).astype(int)
    return _table(rng, sexes, ages, np.nan)


def _table(rng: np.random.Generator, sexes, ages, grades) -> pd.DataFrame:
    n = len(ages)
    return pd.DataFrame(
        {
            "M/F": sexes,
            "Hand": "R",
            "Age": ages,
            "Educ": rng.integers(1, 6, n),
            "SES": rng.integers(1, 6, n),
            "MMSE": np.where(np.nan_to_num(grades) > 0, 24, 29) + rng.integers(0, 2, n),
            "CDR": grades,
            "eTIV": rng.integers(1200, 1900, n),
            "nWBV": np.round(0.86 - 0.002 * (ages - 20) + rng.normal(0, 0.02, n), 3),
            "ASF": np.round(rng.normal(1.2, 0.13, n), 3),
            "Delay": "N/A",
        }
    )
