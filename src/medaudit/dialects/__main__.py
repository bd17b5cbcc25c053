from medaudit.dialects import stage
from medaudit.stage import run

run(stage)
