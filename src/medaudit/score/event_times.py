"""Time-to-event labels: yes or no at a horizon."""

import numpy as np
import pandas as pd

from medaudit.adapt.predictions.detection.content import Content
from medaudit.adapt.predictions.detection.names import key_of, words_of
from medaudit.adapt.predictions.label_words import positive_levels
from medaudit.core.errors import MedauditError
from medaudit.data.readers.sheet import Sheet, as_numbers, as_text
from medaudit.score.reading import Reading

EVENTS = {"event", "events", "status", "censored", "censoring", "death", "died", "dead", "relapse"}
TIMES = {"time", "duration", "survival", "followup", "os", "pfs", "dfs", "tte", "days", "months"}
LABEL = "label_at_horizon"


def labels_at_horizon(sheet: Sheet, reading: Reading) -> Sheet:
    """Return the table with the label "event by the horizon", where the user asks for it.

    Rows that were censored before the horizon have no label: whether their event came in time is
    unknown. They are left out and counted. This is a complete-case analysis: it is unbiased only
    if those who were lost early do not differ from the others.

    Parameters
    ----------
    sheet : Sheet
        The predictions.
    reading : Reading
        ``event``, ``time`` and ``horizon``.

    Raises
    ------
    MedauditError
        Some of the three are given and not all; or the file has an event and a time, no other
        label, and no horizon is given.
    """
    given = {key: getattr(reading, key) for key in ("event", "time", "horizon")}
    if all(value is None for value in given.values()):
        _refuse_event(sheet, reading)
        return sheet
    lacking = [f"--{key}" for key, value in given.items() if value is None]
    if lacking:
        raise MedauditError(f"time-to-event labels also need {' and '.join(lacking)}")
    absent = [n for n in (reading.event, reading.time) if n not in sheet.frame]
    if absent:
        raise MedauditError(f"{sheet.where} has no column {absent}; it has {list(sheet.frame)}")
    return _cut(sheet, reading, str(reading.event), str(reading.time), float(reading.horizon or 0))


def _cut(sheet: Sheet, reading: Reading, event: str, time: str, horizon: float) -> Sheet:
    text = as_text(sheet.frame[event]).str.strip()
    positive = positive_levels(sorted(text.dropna().unique()), None, event, sheet.where)
    seen = text.isin(positive).to_numpy()
    times = as_numbers(sheet.frame[time], f"the time {time}", sheet.where).to_numpy()
    if (times < 0).any():
        raise MedauditError(f"{sheet.where}: {time} holds negative times; correct them")
    known = text.notna().to_numpy() & ~np.isnan(times)
    label = np.where(times > horizon, 0.0, np.where(seen, 1.0, np.nan))
    label = np.where(known, label, np.nan)
    lost = int((known & np.isnan(label)).sum())
    if np.nansum(label) == 0 or np.nansum(label == 0) == 0:
        raise MedauditError(
            f"{sheet.where}: at the horizon {horizon:g} {int(np.nansum(label))} rows have the event "
            f"and {int(np.nansum(label == 0))} do not; choose another --horizon (times are "
            f"{np.nanmin(times):g} to {np.nanmax(times):g})"
        )
    reading.columns["label"] = [LABEL]
    reading.columns["ignore"] = [*reading.columns.get("ignore", []), event, time]
    note = (
        f"label: {event} by {time} {horizon:g}; {lost} rows censored before it are left out, as "
        "their label is unknown (no weighting by the probability of censoring)"
    )
    whole = pd.Series(label, index=sheet.frame.index).astype("Int64")
    frame = sheet.frame.assign(**{LABEL: whole})
    return Sheet(frame, sheet.where, [*sheet.notes, note], sheet.names, sheet.path)


def _refuse_event(sheet: Sheet, reading: Reading) -> None:
    """Raise an error if the labels can only be an event that is seen after some time."""
    names = list(map(str, sheet.frame.columns))
    events = [n for n in names if set(words_of(n)) & EVENTS and Content(sheet.frame[n]).is_binary]
    times = [n for n in names if _is_time(n) and Content(sheet.frame[n]).n_levels > 5]
    times = [n for n in times if Content(sheet.frame[n]).is_numeric]
    told = reading.columns.get("label") or reading.columns.get("ignore")
    if not events or not times or told or _has_label(sheet, names):
        return
    raise MedauditError(
        f"{sheet.where}: {events[0]} and {times[0]} are time-to-event labels: whether a row without "
        "the event is negative depends on how long it was followed. Choose a horizon in the unit of "
        f"{times[0]}: --event {events[0]} --time {times[0]} --horizon T"
    )


def _is_time(name: str) -> bool:
    words = set(words_of(name))
    return bool(words & TIMES) or key_of(name) in ("timetoevent", "followuptime")


def _has_label(sheet: Sheet, names: list[str]) -> bool:
    from medaudit.adapt.predictions.detection.candidates import candidates

    return any(c.role == "truth" and c.name.strength > 1 for c in candidates(sheet.frame, names))
