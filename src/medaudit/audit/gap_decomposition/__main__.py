"""Command line of the stage `gap_decomposition`."""

from medaudit.audit.gap_decomposition import gap_decomposition
from medaudit.core.stage import run

if __name__ == "__main__":
    run(gap_decomposition)
