from medaudit.images import images
from medaudit.stage import run

run(images)
