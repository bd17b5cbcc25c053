"""Command line of the stage `remedies`."""

from medaudit.audit.remedies import remedies
from medaudit.core.stage import run

if __name__ == "__main__":
    run(remedies)
