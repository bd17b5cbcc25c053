"""Spreadsheets that others made: an .xls file that statsmodels ships, beside the same table as CSV."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels

from medaudit.data.readers.sheet import read_sheet

NOWCAST = Path(statsmodels.__file__).parent / (
    "tsa/statespace/tests/results/frbny_nowcast/Nowcasting/data/US/2016-06-29"
)


@pytest.mark.skipif(not NOWCAST.with_suffix(".xls").is_file(), reason="statsmodels without tests")
def test_an_old_spreadsheet_holds_what_its_csv_holds():
    sheet = read_sheet(NOWCAST.with_suffix(".xls"), leftovers=True).frame
    csv = pd.read_csv(NOWCAST.with_suffix(".csv"))
    assert list(sheet.columns) == list(csv.columns)
    assert len(sheet) == len(csv)
    for name in csv.columns[1:]:
        found = pd.to_numeric(sheet[name]).to_numpy(float)
        np.testing.assert_allclose(found, csv[name].to_numpy(float), rtol=1e-9, equal_nan=True)
    assert sheet["Date"].iloc[0] == "1985-01-01"
