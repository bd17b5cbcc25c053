"""MoCo v3: contrastive learning of two views of an image against the other images of the batch.

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
from medaudit.models.pretrain.settings import MocoV3, Settings
from medaudit.training.distributed import GlobalBatchNorm, gather_rows, process_rank


class MomentumContrast(Algorithm):
    """Base encoder, projector and predictor, and momentum copies of the first two.

    As in the official code, a ViT has a frozen patch projection, a projector of three layers and a
    predictor that ends with batch norm; a ResNet has nothing frozen, a projector of two layers and
    a predictor without the last batch norm.
    """

    views = 2

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        options = settings.options
        assert isinstance(options, MocoV3)
        self.momentum, self.temperature = options.momentum, options.temperature
        self.encoder = build_encoder(settings)
        hidden, out = options.hidden, options.dimension
        self.resnet = is_resnet(self.encoder)
        self.pooling = "avg" if self.resnet else "token"
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
        # Frozen at its random weights: this makes ViT training stable (section 4.2).
        self.encoder.patch_embed.requires_grad_(False)

    @torch.no_grad()
    def begin_step(self, done: float) -> None:
        """Update the momentum copies; the momentum rises to 1 along half a cosine."""
        # slow = m * slow + (1 - m) * fast with 1 - m = (1 - m_0) * (1 + cos(pi * done)) / 2
        share = 0.5 * (1 + math.cos(math.pi * done)) * (1 - self.momentum)
        pairs = (self.slow_encoder, self.encoder), (self.slow_projector, self.projector)
        for slow, fast in pairs:
            # One kernel for all tensors: a launch for each would take longer than the update.
            torch._foreach_lerp_(list(slow.parameters()), list(fast.parameters()), share)

    def encode(self, batch: Batch) -> torch.Tensor:
        """Return features of both views: [b, 2, width]."""
        return self._both(self.encoder, batch.views)

    @torch.no_grad()
    def targets(self, batch: Batch) -> torch.Tensor:
        """Return features of both views by the momentum encoder: [b, 2, width]."""
        return self._both(self.slow_encoder, batch.views)

    def _both(self, encoder: torch.nn.Module, views: torch.Tensor) -> torch.Tensor:
        """Encode both views together, or one after the other if batch norm would mix them."""
        if self.indivisible:
            return torch.stack([encoder(views[:, view]) for view in (0, 1)], dim=1)
        return encoder(views.flatten(0, 1)).unflatten(0, views.shape[:2])

    def loss(self, rows: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the symmetric loss of algorithm 1: view 1 against view 2 and the reverse."""
        queries = [self.predictor(self.projector(rows[:, view])) for view in (0, 1)]
        with torch.no_grad():
            keys = [self.slow_projector(targets[:, view]) for view in (0, 1)]
        return self.contrast(queries[0], keys[1]) + self.contrast(queries[1], keys[0])

    def contrast(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Return the InfoNCE loss (eq. 1) of `queries` against the keys of all processes."""
        # -log(exp(q.k+ / tau) / sum_k exp(q.k / tau)), times 2 tau as in algorithm 1. The positive
        # key of query i is key i of this process, after those of the processes before it. Products
        # are in float32, because similarities of close features differ by less than bfloat16
        # resolves.
        keys = gather_rows(normalize(keys.float(), dim=1))
        logits = normalize(queries.float(), dim=1) @ keys.T / self.temperature
        first = len(queries) * process_rank()
        labels = torch.arange(first, first + len(queries), device=queries.device)
        return 2 * self.temperature * cross_entropy(logits, labels)

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the base encoder without the projector, in timm's layout."""
        return self.encoder.state_dict()

    def decay_all(self) -> bool:
        """Return True for a ViT: the official code applies weight decay to all its parameters.

        For ResNets it uses LARS, which excludes biases and norms.
        """
        return not self.resnet


def perceptron(widths: list[int], last_norm: bool = True) -> torch.nn.Sequential:
    """Return linear layers without bias, each followed by batch norm and, but the last, by ReLU.

    The last batch norm has no learnt scale and shift; `last_norm` false leaves it out.
    """
    layers: list[torch.nn.Module] = []
    for index, (width, out) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        last = index == len(widths) - 2
        layers.append(torch.nn.Linear(width, out, bias=False))
        layers += [GlobalBatchNorm(out, affine=not last)] if last_norm or not last else []
        layers += [] if last else [torch.nn.ReLU(inplace=True)]
    return torch.nn.Sequential(*layers)
