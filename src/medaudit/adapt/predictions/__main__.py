"""Command line of the stage `predictions`."""

from medaudit.adapt.predictions import predictions
from medaudit.core.stage import run

if __name__ == "__main__":
    run(predictions)
