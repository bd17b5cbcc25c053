"""Command line of the stage `conditional_gaps`."""

from medaudit.audit.conditional_gaps import conditional_gaps
from medaudit.core.stage import run

if __name__ == "__main__":
    run(conditional_gaps)
