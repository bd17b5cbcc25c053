"""torch.compile for the repeated blocks of a network, with a fallback to plain execution."""

import logging
from collections.abc import Callable, Iterator

from torch import nn

log = logging.getLogger(__name__)


def compile_blocks(network: nn.Module, backend: str | Callable = "inductor") -> int:
    """Compile the repeated blocks of a network in place; return how many there are.

    Blocks are compiled one by one: blocks of the same kind share their code, so that compiling
    takes as long for twelve blocks as for one, unless each has a rate of drop path of its own.
    Names in the state dictionary stay the same. A block that cannot be compiled (no compiler on this
    machine, an operation that torch does not know) runs as it is, after a warning by torch.

    Parameters
    ----------
    network : torch.nn.Module
        A network with the usual lists of blocks: timm's ViTs, Swins and ResNets, open_clip's towers.
    backend : str or callable
        Backend of `torch.compile`.
    """
    import torch._dynamo  # 2 s of imports that a run without compilation does not need

    torch._dynamo.config.suppress_errors = True
    blocks = list(repeated_blocks(network))
    # torch gives up after 8 variants of a function. There may be one for each block, because rates of
    # drop path are constants of the compiled code, in training and in evaluation.
    limit = torch._dynamo.config.recompile_limit
    torch._dynamo.config.recompile_limit = max(limit, 3 * len(blocks))
    for block in blocks:
        block.compile(backend=backend)
    log.info("torch.compile: %d blocks", len(blocks))
    return len(blocks)


def repeated_blocks(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the outermost blocks: members of a list of two or more modules of one class.

    A list is an `nn.ModuleList` or `nn.Sequential`; lists without parameters do not count.
    """
    for child in network.children():
        members = list(child.children())
        alike = len(members) > 1 and len({type(member) for member in members}) == 1
        holds = all(any(True for _ in member.parameters()) for member in members)
        inner = isinstance(members[0], nn.Sequential | nn.ModuleList) if members else True
        if isinstance(child, nn.ModuleList | nn.Sequential) and alike and holds and not inner:
            yield from members
        else:
            yield from repeated_blocks(child)
