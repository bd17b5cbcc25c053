"""Training on several processes started by torchrun or srun: one GPU each (nccl), or CPUs (gloo).

Gradients are averaged by torch's DistributedDataParallel during the backward pass (`in_parallel`).
Three things are done by hand, because torch does not do them:

- `average_gradients`, for a contrastive loss over several micro-batches
  (`medaudit.models.pretrain.gradient_accumulation`): heads and encoder get their gradients in
  different backward passes, and DistributedDataParallel expects all of them in one.
- `average_buffers`, once per validation: DistributedDataParallel would copy the running statistics
  of rank 0 in every step, and ignore those of the other processes.
- `GlobalBatchNorm`: torch's SyncBatchNorm has no CPU version.
"""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel

from medaudit.training.launch import set_torch_env_from_slurm
from medaudit.training.preemption import EXIT_PREEMPTED, requeue_and_exit


@dataclass(frozen=True)
class Processes:
    """This process's place among all processes of the run.

    Parameters
    ----------
    rank, world : int
        Number of this process (from 0), and the number of processes.
    device : torch.device
        The device that this process computes on.
    """

    rank: int
    world: int
    device: torch.device

    def share(self, count: int) -> slice:
        """Return this process's part of `count` items; `count` must be a multiple of `world`."""
        part = count // self.world
        return slice(self.rank * part, (self.rank + 1) * part)


@contextmanager
def join_processes() -> Iterator[Processes]:
    """Join the processes that torchrun or srun started, or run as a single process."""
    set_torch_env_from_slurm()
    world = int(os.environ.get("WORLD_SIZE", 1))
    gpu = torch.cuda.is_available()
    local = int(os.environ.get("LOCAL_RANK", 0))
    device = torch.device("cuda", local % torch.cuda.device_count()) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    if world == 1:
        yield Processes(0, 1, device)
        return
    dist.init_process_group("nccl" if gpu and not shares_gpu() else "gloo")
    try:
        yield Processes(dist.get_rank(), world, device)
    finally:
        dist.destroy_process_group()


def shares_gpu() -> bool:
    """Return whether torchrun started more processes on this machine than it has GPUs.

    nccl refuses two processes on one GPU; gloo then averages through the processor's memory.
    """
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1)) > torch.cuda.device_count()


def in_parallel(module: torch.nn.Module, *, unused: bool = False) -> torch.nn.Module:
    """Return a module whose backward pass averages gradients over processes, if there are several.

    Parameters
    ----------
    module : torch.nn.Module
        On its device. Buffers are not synchronised.
    unused : bool
        Some parameters may get no gradient, but the same ones in every step. Do not combine it with
        gradient accumulation.
    """
    if world_size() == 1:
        return module
    # A module may have been wrapped before, for another learning rate. That wrapper's hooks are
    # gone only once it has been deleted, and wrappers are part of reference cycles.
    gc.collect()
    return DistributedDataParallel(
        module, broadcast_buffers=False, gradient_as_bucket_view=True, static_graph=unused
    )


def world_size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def process_rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def average_gradients(parameters: list[torch.nn.Parameter]) -> None:
    """Replace each gradient by its mean over all processes."""
    if world_size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    # One message for all gradients: the latency of hundreds of small ones would dominate.
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world_size()
    parts = flat.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


@torch.no_grad()
def average_buffers(module: torch.nn.Module) -> None:
    """Replace floating-point buffers (running statistics) by their mean over all processes."""
    buffers = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
    if world_size() == 1 or not buffers:
        return
    flat = torch.cat([buffer.reshape(-1) for buffer in buffers])
    dist.all_reduce(flat)
    flat /= world_size()
    parts = flat.split([buffer.numel() for buffer in buffers])
    for buffer, part in zip(buffers, parts, strict=True):
        buffer.copy_(part.view_as(buffer))


def gather_arrays(array: np.ndarray) -> np.ndarray:
    """Return the rows of all processes, in the order of ranks; their numbers may differ."""
    if world_size() == 1:
        return array
    parts: list = [None] * world_size()
    dist.all_gather_object(parts, array)
    return np.concatenate(parts)


def sum_over_processes(tensor: torch.Tensor) -> torch.Tensor:
    """Return the sum of a tensor over all processes, without gradient."""
    if world_size() == 1:
        return tensor.detach()
    total = tensor.detach().clone()
    dist.all_reduce(total)
    return total


def average(value: float, device: torch.device) -> float:
    """Return the mean of a number over all processes."""
    if world_size() == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return total.item() / world_size()


def exit_all_processes(saved: str, processes: Processes) -> NoReturn:
    """Exit from all processes after SIGTERM: rank 0 requeues the SLURM job, the others wait.

    They wait because torchrun and srun kill all processes as soon as one of them has ended, which
    could be before rank 0 has requeued the job.
    """
    try:
        if processes.rank == 0:
            requeue_and_exit(saved)
    finally:
        if processes.world > 1:
            dist.barrier()
    sys.exit(EXIT_PREEMPTED)


def gather_rows(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor's rows of all processes, in the order of ranks, without gradient."""
    if world_size() == 1:
        return tensor.detach()
    parts = [torch.empty_like(tensor) for _ in range(world_size())]
    dist.all_gather(parts, tensor.detach().contiguous())
    return torch.cat(parts)


class GlobalBatchNorm(torch.nn.BatchNorm1d):
    """BatchNorm1d with the statistics of the whole batch, over all processes.

    The same as torch's SyncBatchNorm, which has no CPU version. All processes must have the same
    number of rows.
    """

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the rows [n, features], normalised."""
        if not self.training or world_size() == 1:
            return super().forward(rows)
        rows = rows.float()
        mean = all_reduce(rows.mean(0)) / world_size()
        variance = all_reduce((rows - mean).square().mean(0)) / world_size()
        self._track(mean.detach(), variance.detach(), len(rows) * world_size())
        normed = (rows - mean) * torch.rsqrt(variance + self.eps)
        return normed if self.weight is None else normed * self.weight + self.bias

    @torch.no_grad()
    def _track(self, mean: torch.Tensor, variance: torch.Tensor, count: int) -> None:
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        # As in torch: normalise by the biased variance, track the unbiased one.
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)
