"""A stage started as several processes: ``--processes N`` on its command line.

On one machine torchrun starts them; in a SLURM job that has several nodes srun does, on all of
them. The number is no setting of the job: it says how the machines are used, and a change reruns
nothing.
"""

import os
import sys

from medaudit.training.stop import ask_slurm

FIRST_PORT, PORTS = 20000, 20000


def launch(stage: str, arguments: list[str]) -> list[str]:
    """Replace this process by torchrun or srun where several are asked for.

    Parameters
    ----------
    stage : str
        The module, e.g. ``medaudit.adapt.finetune``.
    arguments : list of str
        Of its command line, with or without ``--processes``.

    Returns
    -------
    list of str
        The arguments without ``--processes``, for a stage that stays in this process: one is
        asked for, or it is one of those started.
    """
    count, rest = _take(arguments, "--processes", 1)
    if count > 1 and "WORLD_SIZE" not in os.environ and _step_tasks() == 1:
        nodes = _nodes()
        command = (
            across_nodes(stage, rest, count, nodes)
            if nodes > 1
            else command_line(stage, rest, count)
        )
        os.execvp(command[0], command)  # keeps the process id, so that signals reach it
    return rest


def command_line(stage: str, arguments: list[str], processes: int) -> list[str]:
    """Return torchrun's command; the ``--threads`` of the job are shared by the processes."""
    threads, rest = _take(arguments, "--threads", 1)
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    own = ["--threads", str(max(1, threads // processes))]
    return [sys.executable, *torchrun, "-m", stage, *rest, *own]


def across_nodes(stage: str, arguments: list[str], processes: int, nodes: int) -> list[str]:
    """Return srun's command; each process is a task of the job and has its ``--threads``."""
    threads, _ = _take(arguments, "--threads", 1)
    step = [f"--nodes={nodes}", f"--ntasks={processes}", f"--cpus-per-task={threads}"]
    step += ["--mpi=none", "--kill-on-bad-exit=1"]
    return ["srun", *step, sys.executable, "-m", stage, *arguments]


def name_by_slurm() -> None:
    """Tell torch of the processes that srun started, in the variables that torchrun sets.

    srun is to be called on the first node, as it is in a batch job. ``MASTER_ADDR`` and
    ``MASTER_PORT`` may be set to something else.
    """
    if _step_tasks() == 1 or "WORLD_SIZE" in os.environ:
        return
    own = os.environ
    port = FIRST_PORT + int(own["SLURM_JOB_ID"]) % PORTS
    own["RANK"], own["WORLD_SIZE"] = own["SLURM_PROCID"], own["SLURM_STEP_NUM_TASKS"]
    own["LOCAL_RANK"] = own["SLURM_LOCALID"]
    own.setdefault("MASTER_ADDR", own["SLURM_LAUNCH_NODE_IPADDR"])
    own.setdefault("MASTER_PORT", str(port))


def _step_tasks() -> int:
    """Return how many tasks srun started; unlike ``SLURM_NTASKS`` it is not set by sbatch."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", 1))


def _nodes() -> int:
    """Return the nodes of the SLURM job, 1 without one; executors hide the variables of it."""
    job = os.environ.get("SLURM_JOB_ID")
    answer = ask_slurm("squeue", "--noheader", "--jobs", job, "--format", "%D") if job else None
    return int(answer or 1)


def _take(arguments: list[str], option: str, default: int) -> tuple[int, list[str]]:
    """Return the number behind an option, and the arguments without both."""
    if option not in arguments:
        return default, list(arguments)
    at = arguments.index(option)
    return int(arguments[at + 1]), [*arguments[:at], *arguments[at + 2 :]]
