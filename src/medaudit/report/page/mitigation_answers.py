"""What helps, in sentences, from the table ``remedies``."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from medaudit.core.documents import StudyHead
from medaudit.core.mitigation import CONTROL
from medaudit.report.page.answer import Answer
from medaudit.report.studies.remedy_effects import CASE, Effect
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.phrases import level_of, plural
from medaudit.report.wording.remedies import LAWFUL, remedy

QUESTION = "What helps?"
COUNTED = {
    Effect.TRADED: "at the cost of another group's",
    Effect.DOWN: "level down: they lower a group's sensitivity and raise no worst group's",
    Effect.LOWERED: "lower a group's sensitivity and do not narrow the difference",
}
"""Effects to their words in the count."""


def answer_remedies(table: pd.DataFrame, head: StudyHead) -> dict[str, list[Answer]]:
    """Return the answers by cohort.

    Parameters
    ----------
    table : pandas.DataFrame
        The table ``remedies``.
    head : StudyHead
        Head of the study's index.
    """
    found: dict[str, list[Answer]] = {}
    for cohort, part in table.groupby("cohort", sort=False):
        short, full = [], []
        for names, rows in part.groupby(CASE, sort=False):
            where = _where(dict(zip(CASE, map(str, names), strict=True)), part)
            said = count_effects(rows, where)
            short.append(said)
            full += [said, *_details(rows, head), *_controls(rows)]
        full.append(LAWFUL)
        found[str(cohort)] = [
            Answer("In short", short, summary=True),
            Answer(QUESTION, full),
        ]
    return found


def count_effects(rows: pd.DataFrame, where: str = "") -> str:
    """Write how many remedies help, how many do harm, and how many do nothing that is shown.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of one case of the table ``remedies``, controls included.
    where : str
        Start of the sentence, e.g. ``By age group: ``.
    """
    tried = rows[rows["kind"] != CONTROL]
    by_effect = {str(e): part["remedy"].map(remedy).tolist() for e, part in tried.groupby("effect")}
    lifted = by_effect.get(Effect.LIFTED, [])
    verb = "raises" if len(lifted) == 1 else "raise"
    named = f": {', '.join(lifted)}" if lifted else ""
    first = (
        f"{where}Of {plural(len(tried), 'remedy').replace('remedys', 'remedies')}, "
        f"{len(lifted) or 'none'} {verb} the worst group's sensitivity without lowering anyone's{named}"
    )
    parts = [first]
    if traded := by_effect.get(Effect.TRADED, []):
        verb = "raises" if len(traded) == 1 else "raise"
        parts.append(f"{len(traded)} {verb} it {COUNTED[Effect.TRADED]}: {', '.join(traded)}")
    for effect in (Effect.DOWN, Effect.LOWERED):
        if harm := by_effect.get(effect, []):
            parts.append(f"{len(harm)} {_verb(COUNTED[effect], len(harm))}: {', '.join(harm)}")
    nothing = len(by_effect.get(Effect.NONE, []))
    if nothing:
        parts.append(f"{nothing} cannot be told from doing nothing")
    if unknown := len(by_effect.get(Effect.UNKNOWN, [])):
        parts.append(f"{unknown} cannot be judged, because a group has too few patients")
    return "; ".join(parts) + "."


def _verb(text: str, number: int) -> str:
    """Return a plural phrase in the singular where it is about one."""
    if number != 1:
        return text
    swaps = (
        ("level down: they lower", "levels down: it lowers"),
        ("and raise no", "and raises no"),
        ("lower a group's", "lowers a group's"),
        ("do not narrow", "does not narrow"),
    )
    for plural_text, single in swaps:
        text = text.replace(plural_text, single)
    return text


def _where(case: Mapping[str, str], part: pd.DataFrame) -> str:
    said = [f"by {terms.attribute(case['attribute'])}"]
    said += [case["task"]] if part["task"].nunique() > 1 else []
    said += [f"on {case['model']}"] if part["model"].nunique() > 1 else []
    return f"{terms.first_upper(', '.join(said))}: "


def _details(rows: pd.DataFrame, head: StudyHead) -> list[str]:
    """Write what each remedy that raises the worst group gains and costs."""
    order = [str(Effect.LIFTED), str(Effect.TRADED)]
    kept = rows[rows["effect"].isin(order) & rows["kind"].ne(CONTROL)]
    return [_detail(row, head) for row in kept.to_dict("records")]


def _detail(row: Mapping[str, Any], head: StudyHead) -> str:
    name, worst = terms.first_upper(remedy(row["remedy"])), terms.group(row["worst_group"])
    found = (
        f"{name}: of 100 images with the finding, {_points(row, 'worst_tpr', head)} are found in the "
        f"worst group ({worst})"
    )
    if row["effect"] == str(Effect.TRADED):
        fallen = terms.group(row["fall_tpr_group"])
        found += f", and {_points(row, 'fall_tpr', head)} in the group {fallen}"
    if row["rise_fpr"] > 0:
        found += (
            f". Of 100 images without the finding in the group {terms.group(row['rise_fpr_group'])}, "
            f"{_points(row, 'rise_fpr', head)} are false alarms: the largest rise of any group."
        )
    else:
        found += ". False alarms rise in no group."
    needs = " It needs the patient's group." if row["needs_group"] == "yes" else ""
    return found + needs


def _points(row: Mapping[str, Any], key: str, head: StudyHead) -> str:
    value, low, high = row[key], row[f"{key}_low"], row[f"{key}_high"]
    if number_format.missing(value):
        return f"an unknown number ({number_format.reason(row[f'{key}_status'])})"
    word = "more" if value >= 0 else "fewer"
    ends = " to ".join(number_format.number(end, 0, signed=True) for end in (low, high))
    return f"{abs(value):.0f} {word} ({level_of(head)} CI {ends})"


def _controls(rows: pd.DataFrame) -> list[str]:
    """Write what plain training with other seeds does: nothing should be shown."""
    own = rows[rows["kind"] == CONTROL]
    said = [
        f"{remedy(row['remedy'])} {number_format.number(row['worst_tpr'], 1, signed=True)} points"
        for row in own.to_dict("records")
        if not number_format.missing(row["worst_tpr"])
    ]
    if not said:
        return []
    quiet = own["effect"].eq(str(Effect.NONE)).all()
    end = "nothing is shown, as it should be" if quiet else "a change is shown, which is luck"
    return [
        f"Controls, which are no remedies, change the worst group's sensitivity by: "
        f"{', '.join(said)}; {end}."
    ]
