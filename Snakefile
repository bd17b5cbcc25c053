# Entry for a checkout: `snakemake` here runs the workflow with the settings of config.yaml.
# A project elsewhere uses the workflow in the same way, as a module (docs/configuration.md).
import time
from pathlib import Path

from medaudit.config.failed_gates import exit_if_failed

STARTED = time.time()


configfile: "config.yaml"


module medaudit:
    snakefile:
        "workflow/Snakefile"
    config:
        config


use rule * from medaudit


# A module's own handlers are not called, so that of the workflow is repeated here.
onerror:
    exit_if_failed(Path("results"), STARTED)
