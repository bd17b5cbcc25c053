# Entry for a checkout: `snakemake` here runs the workflow with the settings of config.yaml.
# A project elsewhere uses the workflow in the same way, as a module (docs/configuration.md).
configfile: "config.yaml"


module medaudit:
    snakefile:
        "workflow/Snakefile"
    config:
        config


use rule * from medaudit
