"""Command line of the stage `images`."""

from medaudit.core.stage import run
from medaudit.data.images import images

if __name__ == "__main__":
    run(images)
