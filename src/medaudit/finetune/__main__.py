from medaudit.finetune import finetune
from medaudit.stage import run

run(finetune)
