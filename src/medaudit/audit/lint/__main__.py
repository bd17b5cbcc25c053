"""Command line of the stage `lint`."""

from medaudit.audit.lint import lint
from medaudit.core.stage import run

if __name__ == "__main__":
    run(lint)
