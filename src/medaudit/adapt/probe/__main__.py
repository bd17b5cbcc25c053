"""Command line of the stage `probe`."""

from medaudit.adapt.probe import probe
from medaudit.core.stage import run

if __name__ == "__main__":
    run(probe)
