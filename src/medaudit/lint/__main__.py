from medaudit.lint import lint
from medaudit.stage import run

run(lint)
