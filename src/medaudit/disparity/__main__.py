"""Command line: ``python -m medaudit.disparity``."""

from medaudit.disparity import disparity
from medaudit.stage import run

if __name__ == "__main__":
    run(disparity)
