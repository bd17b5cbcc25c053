"""Command line of the stage `pretrain`."""

from medaudit.pretrain import pretrain
from medaudit.stage import run

if __name__ == "__main__":
    run(pretrain)
