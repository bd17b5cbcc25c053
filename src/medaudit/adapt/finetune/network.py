"""The network that is fine-tuned: a model's image tower and a new linear head."""

import copy
from functools import partial

import numpy as np
import torch
from torch import nn

from medaudit.adapt.finetune.block_chain import cut_into_blocks
from medaudit.adapt.finetune.loader import Loader
from medaudit.adapt.finetune.tuning import apply_tuning, train_tuned
from medaudit.adapt.finetune_settings import FinetuneSettings, TrainingEntry
from medaudit.core.errors import MedauditError
from medaudit.models.interface import ImageInput
from medaudit.models.kinds import build
from medaudit.models.torch_encoder import TorchEncoder
from medaudit.training.batches import read_ahead, to_device
from medaudit.training.precision import precision

HEAD_STD = 0.01
"""Standard deviation of a new head's weights, as in MAE's linear probe (``main_linprobe.py``)."""

BATCH = 128
"""Images per forward pass of `predict_logits`."""


class Network(nn.Module):
    """Image tower with a linear head; the head has one output per task.

    Parameters
    ----------
    encoder : TorchEncoder
        The model; its module is tuned in place.
    outputs : int
        Number of tasks.
    entry : dict
        The method's entry; see `medaudit.adapt.finetune.tuning.apply_tuning`. ``head_std``: the
        standard deviation of the head's initial weights, by default `HEAD_STD`.

    Attributes
    ----------
    chain : BlockChain or None
        The tower as a chain of blocks, if its architecture is known to be one.
    initial : dict of str to torch.Tensor, or None
        Weights that each trial starts from, see `keep_initial`.
    """

    def __init__(self, encoder: TorchEncoder, outputs: int, entry: TrainingEntry) -> None:
        super().__init__()
        self.encoder = encoder
        self.tower = apply_tuning(encoder.module, entry)
        self.chain = cut_into_blocks(self.tower)
        self.initial: dict[str, torch.Tensor] | None = None
        self.head = nn.Linear(self._dimension(), outputs)
        nn.init.trunc_normal_(self.head.weight, std=entry.get("head_std", HEAD_STD))
        nn.init.zeros_(self.head.bias)
        self.to(encoder.device)
        self.eval()

    @property
    def device(self) -> torch.device:
        """The device that the network computes on."""
        return self.encoder.device

    @property
    def input(self) -> ImageInput:
        """The model's preprocessing."""
        return self.encoder.input

    def forward(self, x: torch.Tensor, start: int = 0) -> torch.Tensor:
        """Return logits [b, outputs].

        Parameters
        ----------
        x : torch.Tensor
            Preprocessed pixels, or outputs of the first blocks: the values at level `start` of
            `medaudit.adapt.finetune.block_chain.BlockChain`.
        start : int
            Level of `x`, 0 for pixels.
        """
        return self.head(self.features(x, start))

    def features(self, x: torch.Tensor, start: int = 0) -> torch.Tensor:
        """Return the features [b, d], the input of the head; see `forward`."""
        if start == 0:
            # On a GPU, weights are channels-last (`TorchEncoder`): convolutions need pixels alike.
            return self.tower(x.contiguous(memory_format=torch.channels_last) if x.is_cuda else x)
        assert self.chain is not None  # outputs of blocks exist only for towers that are a chain
        return self.chain.run(x, start)

    def retune(self, entry: TrainingEntry) -> None:
        """Set again which parameters of the tower are tuned: by a mask, not by adapters."""
        apply_tuning(self.tower, entry)
        self.eval()

    def train(self, mode: bool = True) -> "Network":
        """Set training mode; frozen parts stay in evaluation mode."""
        self.training = mode
        self.head.train(mode)
        train_tuned(self.tower, mode)
        return self

    def tuned(self) -> dict[str, torch.Tensor]:
        """Return copies of everything that training changes: tuned parameters, and buffers."""
        names = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        names |= {name for name, _ in self.named_buffers()}
        return {k: v.detach().clone() for k, v in self.state_dict().items() if k in names}

    def load_tuned(self, state: dict[str, torch.Tensor]) -> None:
        """Load parameters and buffers that `tuned` returned.

        Raises
        ------
        MedauditError
            The network has no parameter of a name in `state`.
        """
        unknown = self.load_state_dict(state, strict=False).unexpected_keys
        if unknown:
            raise MedauditError(
                f"the checkpoint has {len(unknown)} parameters that the network lacks, e.g. "
                f"{unknown[:5]}: delete the checkpoint and run again"
            )

    def keep_initial(self, *, everything: bool = False) -> None:
        """Keep copies of the current weights as those that each trial starts from.

        Parameters
        ----------
        everything : bool
            Also weights that are not tuned now: a search tunes other ones in each trial.
        """
        kept = self.state_dict() if everything else self.tuned()
        self.initial = {name: value.detach().clone() for name, value in kept.items()}

    def restore_initial(self) -> None:
        """Load the weights of `keep_initial`."""
        if self.initial is None:
            raise RuntimeError("no initial weights were kept: call keep_initial first")
        self.load_tuned(self.initial)

    def twin(self) -> "Network":
        """Return a network with copies of all weights that are tuned; it shares the frozen ones."""
        frozen = [p for p in self.parameters() if not p.requires_grad]
        shared = [*frozen, self.encoder, *([self.initial] if self.initial else [])]
        # The chain refers to this network's blocks, also from inside functions, which are not copied.
        chain, self.chain = self.chain, None
        twin = copy.deepcopy(self, {id(part): part for part in shared})
        self.chain = chain
        twin.chain = cut_into_blocks(twin.tower)
        return twin

    def spec(self) -> dict:
        """Return model, preprocessing and the number of tuned parameters as JSON."""
        counts = {"parameters": sum(p.numel() for p in self.parameters())}
        counts["tuned"] = sum(p.numel() for p in self.parameters() if p.requires_grad)
        return {**self.encoder.spec(), **counts}

    @torch.no_grad()
    def _dimension(self) -> int:
        size = self.input.size
        pixels = torch.zeros(1, self.input.channels, size, size, device=self.device)
        return self.tower.eval()(pixels).shape[1]


def build_network(settings: FinetuneSettings, seed: int, device: torch.device) -> Network:
    """Return the network; `seed` determines the initial weights of head and adapters."""
    encoder = build({**settings["model_entry"], "name": settings["model"], **_drop_path(settings)})
    if not isinstance(encoder, TorchEncoder):
        raise MedauditError(
            f"model {settings['model']} of kind {settings['model_entry']['kind']!r} has no weights "
            f"to fine-tune: remove {settings['model']} or {settings['method']} from the study"
        )
    torch.manual_seed(seed)
    return Network(encoder, len(settings["tasks"]), settings["entry"]).to(device)


def _drop_path(settings: FinetuneSettings) -> dict[str, float]:
    """Return the rate of stochastic depth as an argument of the model's builder."""
    rate, kind = settings["entry"].get("drop_path", 0.0), settings["model_entry"]["kind"]
    if rate and kind != "timm":
        raise MedauditError(
            f"method {settings['method']} has drop_path {rate}, which only models of kind 'timm' "
            f"support, but {settings['model']} is of kind {kind!r}: set `drop_path: 0`, for this "
            "model in `by_model`"
        )
    return {"drop_path": rate} if rate else {}


@torch.inference_mode()
def predict_logits(network: Network, loader: Loader, rows: np.ndarray) -> np.ndarray:
    """Return float32 logits [len(rows), outputs] of images without augmentation."""
    network.eval()
    device = network.device
    autocast = precision(device)[1]
    chunks = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    jobs = (partial(_plain_batch, loader, chunk, device) for chunk in chunks)
    parts = []
    for batch in read_ahead(jobs, device=device):
        with autocast():
            parts.append(network(batch, loader.level).float())
    return torch.cat(parts).cpu().numpy()


def _plain_batch(loader: Loader, rows: np.ndarray, device: torch.device) -> torch.Tensor:
    return to_device(loader.plain_batch(rows), device)
