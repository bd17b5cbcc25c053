"""Command line of the stage `cohort`."""

from medaudit.core.stage import run
from medaudit.data.cohort import cohort

if __name__ == "__main__":
    run(cohort)
