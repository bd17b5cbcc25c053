# Recovery after a killed run, a lost folder .snakemake or a clock that was ahead (docs/survival.md).
#
# Snakemake takes an output for current if it has no record of it, and it has no hook that runs once
# the run is known to write and before it looks at files. Input functions are the one place that it
# calls for each job, with its wildcards, while it still decides what to run. So each rule gets one
# that returns no files. It relies on a few of Snakemake's internals, pinned by
# tests/workflow/test_recovery.py: an upgrade that changes them fails there first.


def recover_stale_state(stage):
    """An input function without files that forces the jobs of `stage` whose outputs are stale."""
    this_rule = getattr(rules, stage).rule

    def force_if_stale(wildcards):
        if workflow.is_main_process:  # the process of a single job decides nothing
            prepare_folder()
            outputs = [path.apply_wildcards(wildcards) for path in this_rule.output]
            if is_stale(stage, outputs, wildcards):
                workflow.dag.forcefiles.update(outputs)
        return []

    return force_if_stale


def prepare_folder():
    """Wait for orphaned jobs, remove a killed run's locks, reset future dates; not in a dry run.

    Both calls do their work once per process.
    """
    if workflow.executor_plugin and not workflow.dryrun:
        hold_run_lock(workflow.persistence.path)
        clamp_future_mtimes(Path("results"))


def is_stale(stage, outputs, wildcards):
    """Whether an output is there for which neither Snakemake nor the stage has a valid record."""
    records = workflow.persistence
    if all(records.metadata(path) or not Path(path).exists() for path in outputs):
        return False
    made = jobs.settings(config, stage, **wildcards), jobs.code(
        config, stage, **wildcards
    )
    return not is_current([Path(path) for path in outputs], *made)


for stage in jobs.JOBS:
    getattr(rules, stage).rule.set_input(recover_stale_state(stage))
