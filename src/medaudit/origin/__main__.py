from medaudit.origin import stage
from medaudit.stage import run

run(stage)
