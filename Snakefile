# Entry for a checkout: `snakemake` here runs the workflow with the settings of config.yaml.
# A project elsewhere uses the workflow in the same way, as a module (docs/configuration.md).
import time
from pathlib import Path

from medaudit.config.failed_gates import exit_if_failed
from medaudit.config.time_left import jobs_of_run, show_time_left

STARTED = time.time()


configfile: "config.yaml"


module medaudit:
    snakefile:
        "workflow/Snakefile"
    config:
        config


use rule * from medaudit


# A module's own handlers are not called, so those of the workflow are repeated here.
onstart:
    show_time_left(lambda: jobs_of_run(workflow))


onerror:
    exit_if_failed(Path("results"), STARTED)
