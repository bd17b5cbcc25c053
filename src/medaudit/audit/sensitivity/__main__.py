"""Command line of the stage `sensitivity`."""

from medaudit.audit.sensitivity import sensitivity
from medaudit.core.stage import run

if __name__ == "__main__":
    run(sensitivity)
