from medaudit.probe import probe
from medaudit.stage import run

run(probe)
