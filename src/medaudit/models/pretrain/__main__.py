"""Command line of the stage `pretrain`; also starts its processes, if it is to have several."""

import sys

from medaudit.core.stage import run
from medaudit.models.pretrain import pretrain
from medaudit.training.launch import launch

if __name__ == "__main__":
    run(pretrain, launch("medaudit.models.pretrain", sys.argv[1:]))
