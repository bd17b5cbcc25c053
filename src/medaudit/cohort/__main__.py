from medaudit.cohort import cohort
from medaudit.stage import run

run(cohort)
