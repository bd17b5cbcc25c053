"""Command line of the stage `dialects`."""

from medaudit.audit.dialects import dialects
from medaudit.core.stage import run

if __name__ == "__main__":
    run(dialects)
