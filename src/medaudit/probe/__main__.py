from medaudit.probe import stage
from medaudit.stage import run

run(stage)
