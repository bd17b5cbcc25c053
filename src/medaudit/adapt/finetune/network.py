"""The network that is fine-tuned: a model's image tower, what of it is tuned, and a new head."""

import numpy as np
import torch
from torch import nn

from medaudit.adapt.finetune.block_chain import cut_stages
from medaudit.adapt.finetune.loader import Feed
from medaudit.adapt.finetune.tuning import apply_tuning, train_tuned
from medaudit.core.errors import MedauditError
from medaudit.models.interface import ImageInput
from medaudit.models.kinds import build
from medaudit.models.torch_encoder import TorchEncoder

BATCH = 128


class Network(nn.Module):
    """Image tower and linear head.

    Parameters
    ----------
    encoder : TorchEncoder
        The model; its module is tuned in place.
    outputs : int
        Tasks.
    entry : dict
        The method's entry; see `medaudit.adapt.finetune.tuning.apply_tuning`.
    """

    def __init__(self, encoder: TorchEncoder, outputs: int, entry: dict) -> None:
        super().__init__()
        self.encoder = encoder
        self.tower = apply_tuning(encoder.module, entry)
        self.stages = cut_stages(self.tower)
        self.head = nn.Linear(self._dimension(), outputs)
        nn.init.trunc_normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        self.to(encoder.device)
        self.eval()

    @property
    def device(self) -> torch.device:
        """Where it computes."""
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
            Pixels as the encoder prepares them, or what `medaudit.adapt.finetune.block_chain.Stages` has at
            the level `start`.
        start : int
            0 for pixels.
        """
        return self.head(self.features(x, start))

    def features(self, x: torch.Tensor, start: int = 0) -> torch.Tensor:
        """Return what the head is given, [b, d]; see `forward`."""
        return self.stages.run(x, start) if start else self.tower(x)

    def retune(self, entry: dict) -> None:
        """Choose anew what of the tower is tuned: a mask, no adapters."""
        apply_tuning(self.tower, entry)
        self.eval()

    def train(self, mode: bool = True) -> "Network":
        """Switch to training; what is frozen stays in evaluation mode."""
        self.training = mode
        self.head.train(mode)
        train_tuned(self.tower, mode)
        return self

    def tuned(self) -> dict[str, torch.Tensor]:
        """Return copies of what training changes: tuned parameters and buffers."""
        names = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        names |= {name for name, _ in self.named_buffers()}
        return {k: v.detach().clone() for k, v in self.state_dict().items() if k in names}

    def load_tuned(self, state: dict[str, torch.Tensor]) -> None:
        """Put back what `tuned` returned."""
        wrong = self.load_state_dict(state, strict=False).unexpected_keys
        if wrong:
            raise MedauditError(f"the checkpoint holds unknown parameters {wrong[:5]}")

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


def build_network(settings: dict, seed: int, device: torch.device) -> Network:
    """Build the network; head and adapters start from `seed` alone."""
    encoder = build({**settings["model_entry"], "name": settings["model"], **_drop_path(settings)})
    if not isinstance(encoder, TorchEncoder):
        raise MedauditError(
            f"model {settings['model']} of kind {settings['model_entry']['kind']!r} has no weights "
            f"to fine-tune: take {settings['method']} out of its study"
        )
    torch.manual_seed(seed)
    return Network(encoder, len(settings["tasks"]), settings["entry"]).to(device)


def _drop_path(settings: dict) -> dict:
    """Return the rate of stochastic depth as the model's builder takes it."""
    rate, kind = settings["entry"].get("drop_path", 0.0), settings["model_entry"]["kind"]
    if rate and kind != "timm":
        raise MedauditError(
            f"method {settings['method']} has drop_path {rate}, which models of kind 'timm' take, "
            f"and {settings['model']} is of kind {kind!r}: set it to 0, for this model by by_model"
        )
    return {"drop_path": rate} if rate else {}


@torch.inference_mode()
def predict_logits(network: Network, feed: Feed, rows: np.ndarray) -> np.ndarray:
    """Return float32 logits [len(rows), outputs] in evaluation mode."""
    network.eval()
    parts = []
    for start in range(0, len(rows), BATCH):
        batch = feed.plain(rows[start : start + BATCH]).to(network.device)
        with torch.autocast(network.device.type, torch.bfloat16, network.device.type == "cuda"):
            parts.append(network(batch, feed.level).float().cpu())
    return torch.cat(parts).numpy()
