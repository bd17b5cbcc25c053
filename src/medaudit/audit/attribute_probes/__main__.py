"""Command line of the stage `attribute_probes`."""

from medaudit.audit.attribute_probes import attribute_probes
from medaudit.core.stage import run

if __name__ == "__main__":
    run(attribute_probes)
