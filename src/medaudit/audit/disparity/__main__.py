"""Command line of the stage `disparity`."""

from medaudit.audit.disparity import disparity
from medaudit.core.stage import run

if __name__ == "__main__":
    run(disparity)
