"""Start a stage as several processes: ``--processes N`` on its command line.

On one machine torchrun starts them; in a SLURM job with several nodes srun starts them on all
nodes. The number of processes is not a setting of the job: it describes the machines, and changing
it reruns nothing.
"""

import os
import sys

from medaudit.training.preemption import run_slurm_command

FIRST_PORT, PORTS = 20000, 20000
"""Range of the rendezvous port, which is derived from the job's number."""


def launch(stage: str, arguments: list[str]) -> list[str]:
    """Replace this process by torchrun or srun if several processes are requested.

    Parameters
    ----------
    stage : str
        Module of the stage, e.g. ``medaudit.adapt.finetune``.
    arguments : list of str
        The stage's command line, with or without ``--processes``.

    Returns
    -------
    list of str
        The arguments without ``--processes``. The function returns only if the stage runs in this
        process: one process is requested, or this is one of the processes started before.
    """
    count, rest = _pop_option(arguments, "--processes", 1)
    if count > 1 and "WORLD_SIZE" not in os.environ and _step_tasks() == 1:
        nodes = _count_nodes()
        command = (
            srun_command(stage, rest, count, nodes)
            if nodes > 1
            else torchrun_command(stage, rest, count)
        )
        # exec keeps the process id, so that SIGTERM for the job reaches torchrun or srun.
        os.execvp(command[0], command)
    return rest


def torchrun_command(stage: str, arguments: list[str], processes: int) -> list[str]:
    """Return torchrun's command line; the processes share the ``--threads`` of the job."""
    threads, rest = _pop_option(arguments, "--threads", 1)
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    own = ["--threads", str(max(1, threads // processes))]
    return [sys.executable, *torchrun, "-m", stage, *rest, *own]


def srun_command(stage: str, arguments: list[str], processes: int, nodes: int) -> list[str]:
    """Return srun's command line; each process is a task of the job with its own ``--threads``."""
    threads, _ = _pop_option(arguments, "--threads", 1)
    step = [f"--nodes={nodes}", f"--ntasks={processes}", f"--cpus-per-task={threads}"]
    step += ["--mpi=none", "--kill-on-bad-exit=1"]
    return ["srun", *step, sys.executable, "-m", stage, *arguments]


def set_torch_env_from_slurm() -> None:
    """Set the variables that torch.distributed reads from those that srun sets.

    The first node is the rendezvous, so srun must be called there, as in a batch job.
    ``MASTER_ADDR`` and ``MASTER_PORT`` keep their values if they are set already.
    """
    if _step_tasks() == 1 or "WORLD_SIZE" in os.environ:
        return
    own = os.environ
    # All tasks must agree on a port without talking to each other; jobs on one node must not clash.
    port = FIRST_PORT + int(own["SLURM_JOB_ID"]) % PORTS
    own["RANK"], own["WORLD_SIZE"] = own["SLURM_PROCID"], own["SLURM_STEP_NUM_TASKS"]
    own["LOCAL_RANK"] = own["SLURM_LOCALID"]
    own.setdefault("MASTER_ADDR", own["SLURM_LAUNCH_NODE_IPADDR"])
    own.setdefault("MASTER_PORT", str(port))


def _step_tasks() -> int:
    """Return how many tasks srun started; unlike ``SLURM_NTASKS``, sbatch does not set this."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", 1))


def _count_nodes() -> int:
    """Return the number of nodes of the SLURM job, 1 outside SLURM.

    ``SLURM_NNODES`` is no help: Snakemake's SLURM executor hides it from its jobs.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return 1
    answer = run_slurm_command("squeue", "--noheader", "--jobs", job, "--format", "%D")
    return int(answer or 1)


def _pop_option(arguments: list[str], option: str, default: int) -> tuple[int, list[str]]:
    """Return the number after an option, and the arguments without the option and its value."""
    if option not in arguments:
        return default, list(arguments)
    at = arguments.index(option)
    return int(arguments[at + 1]), [*arguments[:at], *arguments[at + 2 :]]
