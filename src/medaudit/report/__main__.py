from medaudit.report import report
from medaudit.stage import run

run(report)
