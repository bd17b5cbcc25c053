"""MoCo v3: two views of an image agree, with the rest of the batch as negatives.

Chen, Xie and He 2021, "An empirical study of training self-supervised vision transformers",
arXiv 2104.02057.
"""

import copy
import math

import torch
from torch.nn.functional import cross_entropy, normalize

from medaudit.models.pretrain.algorithm import Algorithm, Batch
from medaudit.models.pretrain.encoder import (
    build_encoder,
    fix_positions,
    has_batch_norm,
    initialise,
    is_resnet,
)
from medaudit.models.pretrain.settings import Settings
from medaudit.training.distributed import GlobalBatchNorm, gather_rows, process_rank


class MomentumContrast(Algorithm):
    """Base encoder, projector and predictor; momentum copies of the first two.

    As the official code, a ViT has its patch projection frozen, three layers in the projector and
    a batch norm at the end of the predictor; a ResNet has nothing frozen, two layers and none.
    """

    views = 2

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        options = settings.options
        self.momentum, self.temperature = options.momentum, options.temperature
        self.encoder = build_encoder(settings)
        hidden, out = options.hidden, options.dimension
        self.resnet = is_resnet(self.encoder)
        self.indivisible = has_batch_norm(self.encoder)
        middle = [hidden] if self.resnet else [hidden, hidden]
        if not self.resnet:
            self._prepare_vit()
        self.projector = perceptron([self.encoder.num_features, *middle, out])
        self.predictor = perceptron([out, hidden, out], last_norm=not self.resnet)
        self.slow_encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        self.slow_projector = copy.deepcopy(self.projector).requires_grad_(False)

    def _prepare_vit(self) -> None:
        initialise(self.encoder, split_qkv=True)
        torch.nn.init.normal_(self.encoder.cls_token, std=1e-6)
        fix_positions(self.encoder, rows_first=True)
        self.encoder.patch_embed.requires_grad_(False)

    @torch.no_grad()
    def begin_step(self, done: float) -> None:
        """Move the momentum copies: momentum rises from .99 to 1 by half a cosine."""
        share = 0.5 * (1 + math.cos(math.pi * done)) * (1 - self.momentum)
        pairs = (self.slow_encoder, self.encoder), (self.slow_projector, self.projector)
        for slow, fast in pairs:
            for target, source in zip(slow.parameters(), fast.parameters(), strict=True):
                target.lerp_(source, share)

    def encode(self, batch: Batch) -> torch.Tensor:
        """Return features of both views: [b, 2, width]."""
        return self._both(self.encoder, batch.views)

    @torch.no_grad()
    def targets(self, batch: Batch) -> torch.Tensor:
        """Return features of both views by the momentum encoder: [b, 2, width]."""
        return self._both(self.slow_encoder, batch.views)

    def _both(self, encoder: torch.nn.Module, views: torch.Tensor) -> torch.Tensor:
        """Encode both views at once, or one by one where batch statistics would mix them."""
        if self.indivisible:
            return torch.stack([encoder(views[:, view]) for view in (0, 1)], dim=1)
        return encoder(views.flatten(0, 1)).unflatten(0, views.shape[:2])

    def loss(self, rows: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the symmetric loss of algorithm 1, each half times 2 * temperature."""
        queries = [self.predictor(self.projector(rows[:, view])) for view in (0, 1)]
        with torch.no_grad():
            keys = [self.slow_projector(targets[:, view]) for view in (0, 1)]
        return self.contrast(queries[0], keys[1]) + self.contrast(queries[1], keys[0])

    def contrast(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Return the InfoNCE loss of `queries` against the keys of all processes (eq. 1)."""
        keys = gather_rows(normalize(keys.float(), dim=1))
        logits = normalize(queries.float(), dim=1) @ keys.T / self.temperature
        first = len(queries) * process_rank()
        labels = torch.arange(first, first + len(queries), device=queries.device)
        return 2 * self.temperature * cross_entropy(logits, labels)

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the base encoder, without projector, in timm's layout."""
        return self.encoder.state_dict()

    def decay_all(self) -> bool:
        """Return True for a ViT, whose parameters the official code hands to AdamW alike.

        For ResNets it uses LARS, which leaves biases and norms out.
        """
        return not self.resnet


def perceptron(widths: list[int], last_norm: bool = True) -> torch.nn.Sequential:
    """Return linear layers without bias, each followed by batch norm, ReLU between them.

    The last batch norm has no scale and shift of its own; there is none without `last_norm`.
    """
    layers: list[torch.nn.Module] = []
    for index, (width, out) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        last = index == len(widths) - 2
        layers.append(torch.nn.Linear(width, out, bias=False))
        layers += [GlobalBatchNorm(out, affine=not last)] if last_norm or not last else []
        layers += [] if last else [torch.nn.ReLU(inplace=True)]
    return torch.nn.Sequential(*layers)
