"""The context of tables and figures, read from a study's files and changed by tests."""

from dataclasses import replace

from medaudit.config.requests import FIGURES, TABLES
from medaudit.report.figures.style import style
from medaudit.report.outputs import make_figures, make_tables
from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import gather
from medaudit.report.studies.extras import gather_extras
from medaudit.report.studies.facts import gather_facts


def read_context(study: dict, facts: bool = True) -> Context:
    """Read what `compare` is given; without `facts` they are None, which saves time."""
    evidence = gather(study["settings"], study["metrics"], study["gaps"], study["cards"])
    names = ("dialects", "parts", "probes", "predictions", "searches")
    names += ("conditional", "sensitivity", "remedies")
    extras = gather_extras(study["settings"], *(study.get(name, []) for name in names))
    return Context(evidence, gather_facts(evidence) if facts else None, extras)


def changed(context: Context, evidence: dict | None = None, **extras: object) -> Context:
    """Return a context with other fields of its evidence and of its extras."""
    return replace(
        context,
        evidence=replace(context.evidence, **(evidence or {})),
        extras=replace(context.extras, **extras),
    )


def requested_tables(context: Context) -> dict:
    """Make the tables that the study requests, by name."""
    names = context.evidence.entry.get("tables", [])
    return {table.name: table for table in make_tables(context, [TABLES[n] for n in names])}


def requested_figures(context: Context) -> dict:
    """Draw the figures that the study requests, by name."""
    names = context.evidence.entry.get("figures", [])
    with style():
        drawn = make_figures(context, [FIGURES[name] for name in names])
    return {figure.name: figure for figure in drawn}
