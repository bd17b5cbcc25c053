"""Command line of the stage `zero_shot`."""

from medaudit.adapt.zero_shot import zero_shot
from medaudit.core.stage import run

if __name__ == "__main__":
    run(zero_shot)
