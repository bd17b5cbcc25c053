"""Command line of the stage `shift`."""

from medaudit.audit.shift import shift
from medaudit.core.stage import run

if __name__ == "__main__":
    run(shift)
