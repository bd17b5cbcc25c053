"""Makes the tables and figures of a study with the functions that the registry names."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from medaudit.config.requests import Output
from medaudit.report.studies.context import Context

if TYPE_CHECKING:  # matplotlib is loaded only where a figure is drawn
    from medaudit.report.figures.style import Figure
    from medaudit.report.tables.table import Table


VALUES = ("estimate", "difference", "number", "p")
"""Kinds of columns that a table is made for."""


def make_tables(context: Context, outputs: Iterable[Output]) -> "list[Table]":
    """Return the tables that have something to show.

    Parameters
    ----------
    context : Context
        The study's data.
    outputs : iterable of Output
        Entries of `medaudit.config.requests.TABLES`, in the order wanted.
    """
    made = ((output, _function(output)(context)) for output in outputs)
    return [table for output, table in made if table is not None and _shows(table, output)]


def make_figures(context: Context, outputs: Iterable[Output]) -> "list[Figure]":
    """Return the figures that have something to show.

    First the standard figures, cohort by cohort; then those that pool all cohorts; then the
    others, cohort by cohort.

    Parameters
    ----------
    context : Context
        The study's data, without a cohort.
    outputs : iterable of Output
        Entries of `medaudit.config.requests.FIGURES`.
    """
    outputs = list(outputs)
    each = [replace(context, cohort=cohort) for cohort in context.evidence.cards]
    standard = [output for output in outputs if output.standard]
    pooled = [output for output in outputs if output.pooled]
    single = [output for output in outputs if not (output.standard or output.pooled)]
    calls = [(output, part) for part in each for output in standard]
    calls += [(output, context) for output in pooled]
    calls += [(output, part) for part in each for output in single]
    return _made(_function(output)(part) for output, part in calls)


def _shows(table: "Table", output: Output) -> bool:
    """Return whether a table has rows, and one that was requested also a value in one of them."""
    if table.data.empty:
        return False
    values = [column.key for column in table.columns if column.kind in VALUES]
    return output.standard or not values or bool(table.data[values].notna().any(axis=None))


def _function(output: Output) -> Callable[[Context], Any]:
    module, _, name = output.function.partition(":")
    return getattr(import_module(f"medaudit.report.{module}"), name)


def _made(results: Iterable[Any]) -> list[Any]:
    return [result for result in results if result is not None]
