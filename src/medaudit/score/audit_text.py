"""An audit as text and as HTML, for a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from medaudit.report.wording import number_format, terms
from medaudit.report.wording.phrases import plural
from medaudit.score.assemble import OUTCOMES

if TYPE_CHECKING:
    from medaudit.score.audit_result import Audit

MOST = 40
"""Rows of a table in HTML at most."""
WIDTH = 100


class Text(str):
    """A text that a notebook shows as it is, not in quotes."""

    __repr__ = str.__str__


def in_short(audit: Audit) -> str:
    """Write what was audited and the largest gap of each attribute in the first metric."""
    rows = audit.gaps
    first = rows[rows.index.get_level_values("gap") == "max_min"].droplevel("gap")
    head = audit.metrics[0]
    first = first[first.index.get_level_values("metric") == head].droplevel("metric")
    lines = [_head(audit), f"Largest difference in {label(head)}:"]
    for key, row in first.iterrows():
        name = " / ".join(map(str, key)) if isinstance(key, tuple) else str(key)
        value = number_format.estimate(row["value"], row["low"], row["high"], row["status"])
        p = _p(row)
        lines.append(f"  {name}: {value}{p}, {row['n_estimable']} of {row['n_groups']} groups")
    lines.append("See .by_group, .gaps, .worst(), .summary(), .plot, .write(folder).")
    return "\n".join(lines)


def _p(row: pd.Series) -> str:
    if row["status"] != "ok":
        return ""
    if pd.isna(row["p_value"]):
        return ", no test"
    return f", adjusted p {number_format.p_value(row['p_adjusted'])}"


def _head(audit: Audit) -> str:
    cohort = audit.result.study.cohort
    tested = cohort[cohort["split"] == "test"]
    images, patients = len(tested), tested["patient_id"].nunique()
    findings, models = len(audit.findings), len(audit.models)
    if audit.result.study.task_type == OUTCOMES:
        what = plural(len(audit.metrics), "outcome")
        return f"Audit of {what} of {plural(images, 'case')} of {plural(patients, 'patient')}"
    of = f" of {plural(patients, 'patient')}" if audit.result.study.has_patients else ""
    return (
        f"Audit of {plural(models, 'model')} on {plural(images, 'image')}{of}, "
        f"{plural(findings, 'finding')}"
    )


def label(metric: str) -> str:
    """Return the name of a metric for a reader."""
    return terms.measure(metric)


def in_full(audit: Audit) -> Text:
    """Return what ``medaudit score`` prints, and the gaps of custom metrics."""
    from io import StringIO

    from rich.console import Console

    from medaudit.score.summary import show

    stream = StringIO()
    show(audit.result, Console(file=stream, width=WIDTH, highlight=False))
    if audit.custom:
        names = [one.name for one in audit.functions]
        rows = audit.gaps
        own = rows[rows.index.get_level_values("metric").isin(names)]
        columns = ["value", "low", "high", "n_estimable", "n_groups", "null_status"]
        stream.write("\nMetrics given as functions (patient bootstrap; no test):\n")
        stream.write(own[columns].round(3).to_string() + "\n")
    return Text("\n".join(line.rstrip() for line in stream.getvalue().splitlines()))


def as_html(audit: Audit) -> str:
    """Return the groups and gaps as two tables with a sentence on what they are."""
    level = audit.result.evaluation["bootstrap"]["level"]
    rows = audit._summary(audit.estimates)
    rows = rows[~rows["group"].isin(["missing"])]
    rows = rows[(rows["group"] != "all") | rows["attribute"].eq("all")]
    cells = audit._levels(rows.assign(cell=_cells(rows)), "attribute", "group", "metric")["cell"]
    order = list(dict.fromkeys(cells.index.droplevel("metric")))
    groups = cells.unstack("metric").loc[order]
    groups = groups[[m for m in audit.metrics if m in groups.columns]].rename(columns=label)
    gaps = audit.gaps
    shown = gaps.assign(
        difference=_cells(gaps),
        p=[_cell(number_format.p_value(p)) for p in gaps["p_value"]],
        adjusted=[_cell(number_format.p_value(p)) for p in gaps["p_adjusted"]],
        groups=[f"{a} of {b}" for a, b in zip(gaps["n_estimable"], gaps["n_groups"], strict=True)],
        worst=gaps["worst"].fillna(""),
    )[["difference", "p", "adjusted", "worst", "groups"]]
    shown = shown.rename(columns={"adjusted": "adjusted p", "groups": "estimated"})
    return (
        f"<div class='medaudit'><p><b>{escape(_head(audit))}</b>. Values with {level * 100:g} % "
        "intervals by patient.</p>"
        f"{_table(groups)}<p>Gaps between groups. p: permutation test; a large p does not show that "
        f"a model is fair. Every set of groups has a worst one.</p>{_table(shown)}</div>"
    )


def _table(frame: pd.DataFrame) -> str:
    note = ""
    if len(frame) > MOST:
        note = f"<p>{MOST} of {len(frame)} rows.</p>"
    return frame.head(MOST).to_html(na_rep="", border=0) + note


def _cells(rows: pd.DataFrame) -> list[str]:
    columns = (rows[name] for name in ("value", "low", "high", "status"))
    return [number_format.estimate(*row) for row in zip(*columns, strict=True)]


def _cell(text: str) -> str:
    return "no test" if text == "–" else text
