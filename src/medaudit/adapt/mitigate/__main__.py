"""Command line of the stage."""

from medaudit.adapt.mitigate import mitigate
from medaudit.core.stage import run

if __name__ == "__main__":
    run(mitigate)
