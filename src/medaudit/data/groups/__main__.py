"""Command line of the stage `groups`."""

from medaudit.core.stage import run
from medaudit.data.groups import groups

if __name__ == "__main__":
    run(groups)
