from medaudit.decompose import stage
from medaudit.stage import run

run(stage)
