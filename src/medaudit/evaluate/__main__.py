"""Command line: ``python -m medaudit.evaluate``."""

from medaudit.evaluate import evaluate
from medaudit.stage import run

if __name__ == "__main__":
    run(evaluate)
