from medaudit.lint import stage
from medaudit.stage import run

run(stage)
