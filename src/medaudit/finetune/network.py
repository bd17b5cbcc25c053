"""The network that is fine-tuned: a model's image tower, what of it is tuned, and a new head."""

import numpy as np
import torch
from torch import nn

from medaudit.errors import MedauditError
from medaudit.finetune.tuning import apply_tuning
from medaudit.models import ImageInput, build
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
        The method's entry; see `medaudit.finetune.tuning.apply_tuning`.
    """

    def __init__(self, encoder: TorchEncoder, outputs: int, entry: dict) -> None:
        super().__init__()
        self.encoder = encoder
        self.tower, self.frozen = apply_tuning(encoder.module, entry)
        self.head = nn.Linear(self._dimension(), outputs)
        nn.init.trunc_normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        self.to(encoder.device)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.encoder.device

    @property
    def input(self) -> ImageInput:
        """The model's preprocessing."""
        return self.encoder.input

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return logits [b, outputs]."""
        return self.head(self.tower(pixels))

    def train(self, mode: bool = True) -> "Network":
        """Switch to training; a frozen tower stays in evaluation mode, its adapters
        do not."""
        super().train(mode)
        if self.frozen:
            self.tower.eval()
            for name, module in self.tower.named_modules():
                if "lora_" in name:
                    module.train(mode)
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
    encoder = build({**settings["model_entry"], "name": settings["model"]})
    if not isinstance(encoder, TorchEncoder):
        raise MedauditError(
            f"model {settings['model']} of kind {settings['model_entry']['kind']!r} has no weights "
            f"to fine-tune: take {settings['method']} out of its study"
        )
    torch.manual_seed(seed)
    return Network(encoder, len(settings["tasks"]), settings["entry"]).to(device)


@torch.inference_mode()
def predict_logits(network: Network, pixels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return float32 logits [len(rows), outputs] in evaluation mode."""
    network.eval()
    parts = []
    for start in range(0, len(rows), BATCH):
        batch = network.encoder.prepare(pixels[rows[start : start + BATCH]])
        with torch.autocast(network.device.type, torch.bfloat16, network.device.type == "cuda"):
            parts.append(network(batch).float().cpu())
    return torch.cat(parts).numpy()
