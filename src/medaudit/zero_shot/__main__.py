from medaudit.stage import run
from medaudit.zero_shot import zero_shot

run(zero_shot)
