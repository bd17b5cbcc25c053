"""How the user said that the files are to be read: roles of columns, and the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import yaml

from medaudit.adapt.predictions.columns import NAMED_ONLY, OPTIONS, SETTINGS
from medaudit.core.atomic import atomic
from medaudit.core.errors import MedauditError

OTHERS = ("classes", "missing", "sheet", "event", "time", "horizon")
OPTIONS_OF_SCORE = ("positive", "scores", "task_type")
COLUMNS_FILE = "columns.yaml"


class Options(TypedDict):
    """What the user says about the files beyond the roles of columns."""

    attributes: list[str] | None
    control: list[str]
    age_threshold: float | list[float]
    scores: str
    task_type: str
    positive: str | None
    yes: bool


@dataclass
class Reading:
    """What the user said about the files.

    Parameters
    ----------
    columns : dict of str to list of str
        Columns by role (`OPTIONS`), and ``decision``, ``age``, ``groups``, ``ignore``,
        ``not_a_role``.
    classes : list of str
        Names of the classes in the order of the label's codes 0, 1, 2 ...
    missing : list of str
        Values of label columns that mean that there is no label.
    sheet : str or None
        Sheet of a spreadsheet.
    event, time : str or None
        Columns of time-to-event labels: whether the event was seen, and when, or the end of
        follow-up.
    horizon : float or None
        Time at which such labels become yes and no.
    options : dict
        ``positive``, ``scores``, ``task_type`` of a saved file.
    """

    columns: dict[str, list[str]] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    sheet: str | None = None
    event: str | None = None
    time: str | None = None
    horizon: float | None = None
    options: dict[str, str] = field(default_factory=dict)


def read_reading(given: Mapping[str, Any] | str | Path | None) -> Reading:
    """Return what the user said: a mapping, or the file ``columns.yaml`` of an earlier audit.

    Raises
    ------
    MedauditError
        A key is unknown, or the file cannot be read.
    """
    if isinstance(given, str | Path):
        given = load_columns(Path(given))
    said = {key: value for key, value in (given or {}).items() if value not in (None, [], "")}
    names = {*OPTIONS, *NAMED_ONLY, *SETTINGS}
    known = {*names, *OTHERS, *OPTIONS_OF_SCORE}
    unknown = sorted(set(said) - known)
    if unknown:
        raise MedauditError(f"unknown roles of columns {unknown}; use {sorted(known)}")
    horizon = said.get("horizon")
    if horizon is not None and not isinstance(horizon, int | float):
        raise MedauditError(f"horizon is {horizon!r}; give a number, in the unit of the time")
    return Reading(
        columns={key: _listed(value) for key, value in said.items() if key in names},
        classes=_listed(said.get("classes", [])),
        missing=_listed(said.get("missing", [])),
        **{key: said.get(key) for key in ("sheet", "event", "time", "horizon")},
        options={key: str(said[key]) for key in OPTIONS_OF_SCORE if key in said},
    )


def _listed(value: Any) -> list[str]:
    found = list(value) if isinstance(value, list | tuple) else [value]
    for one in found:
        if not isinstance(one, str | int | float):
            raise MedauditError(f"a column is named {type(one).__name__}; give names as text")
    return [str(one) for one in found]


def load_columns(path: Path) -> dict[str, Any]:
    """Return the content of a saved ``columns.yaml``."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise MedauditError(f"cannot read {path}: {error}") from error
    if not isinstance(found, dict):
        raise MedauditError(
            f"{path} must hold `role: column` lines, as {COLUMNS_FILE} of an earlier audit"
        )
    return found


def write_reading(settings: Mapping[str, Any], predictions: str, path: Path) -> None:
    """Write how a file was read, so that it can be read in the same way again."""
    head = (
        f"# How medaudit read {' '.join(predictions.split())}. To read it in the same way again:\n"
        f"# medaudit score FILE --columns {path.name}\n"
    )
    text = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True)
    with atomic(path) as temporary:
        temporary.write_text(head + text, encoding="utf-8")


def saved_options(reading: Reading, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a saved file that the command line does not give."""
    default = {"positive": None, "scores": "auto", "task_type": "auto"}
    return {k: v for k, v in reading.options.items() if given[k] == default[k]}
