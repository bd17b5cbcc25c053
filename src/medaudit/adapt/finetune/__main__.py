"""Command line of the stage `finetune`."""

import sys

from medaudit.adapt.finetune import finetune
from medaudit.core.stage import run
from medaudit.training.launch import launch

if __name__ == "__main__":
    run(finetune, launch("medaudit.adapt.finetune", sys.argv[1:]))
