"""The role of each column as a table, printed before anything that depends on it can fail."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medaudit.adapt.predictions.columns import Choice

ORDER = ("id", "image id", "patient", "split", "model", "method", "seed", "task")


def show_choices(choices: list[Choice], console: Console) -> None:
    """Print role, column, reason and alternatives of each choice."""
    if not choices:
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("role", "column", "why", "could also be"):
        table.add_column(name, overflow="fold")
    for choice in sorted(choices, key=_place):
        cells = (choice.column, choice.reason, ", ".join(choice.alternatives))
        table.add_row(f"[bold]{escape(choice.role)}[/bold]", *map(escape, cells))
    console.print(table)


def _place(choice: Choice) -> int:
    return ORDER.index(choice.role) if choice.role in ORDER else len(ORDER)
