"""MAE and MoCo v3 as their papers' codes formulate them, on timm's blocks; for `benchmarks/gpu.py`.

The point is what a step does, in which order: MAE computes the error of all patches and multiplies
it by the mask; MoCo v3 encodes the two views one after the other and updates the momentum encoder
tensor by tensor.
"""

import copy

import torch
from timm.layers import LayerNorm
from timm.models.vision_transformer import Block, VisionTransformer
from torch.nn.functional import cross_entropy, normalize


class PlainMae(torch.nn.Module):
    """MAE (He et al. 2022, section 3); the paper's decoder has 8 blocks of width 512.

    Parameters
    ----------
    encoder : timm.models.vision_transformer.VisionTransformer
        Without its classifier.
    """

    def __init__(self, encoder: VisionTransformer, width: int = 512, depth: int = 8) -> None:
        super().__init__()
        self.encoder, self.patch = encoder, encoder.patch_embed.patch_size[0]
        count = encoder.patch_embed.num_patches
        self.embed = torch.nn.Linear(encoder.embed_dim, width)
        self.token = torch.nn.Parameter(torch.zeros(1, 1, width))
        self.positions = torch.nn.Parameter(torch.zeros(1, count + 1, width), requires_grad=False)
        self.blocks = torch.nn.ModuleList(Block(width, 16, qkv_bias=True) for _ in range(depth))
        self.norm = LayerNorm(width)
        self.predict = torch.nn.Linear(width, 3 * self.patch**2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the mean squared error of normalised pixels over masked patches."""
        latent, mask, restore = self.encode(images)
        x = self.embed(latent)
        missing = restore.shape[1] + 1 - x.shape[1]
        rest = torch.cat([x[:, 1:], self.token.expand(len(x), missing, -1).to(x.dtype)], dim=1)
        rest = rest.gather(1, restore[..., None].expand(-1, -1, x.shape[2]))
        x = torch.cat([x[:, :1], rest], dim=1) + self.positions
        for block in self.blocks:
            x = block(x)
        predicted = self.predict(self.norm(x))[:, 1:]
        error = (predicted - self.patches(images)).square().mean(dim=-1)
        return (error * mask).sum() / mask.sum()

    def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return tokens of a quarter of the patches, the mask (1: removed) and the inverse order."""
        encoder = self.encoder
        x = encoder.patch_embed(images) + encoder.pos_embed[:, 1:]
        count = x.shape[1]
        order = torch.rand(x.shape[:2], device=x.device).argsort(dim=1)
        restore = order.argsort(dim=1)
        kept = order[:, : count // 4]
        x = x.gather(1, kept[..., None].expand(-1, -1, x.shape[2]))
        mask = torch.ones(len(x), count, device=x.device)
        mask[:, : count // 4] = 0
        first = (encoder.cls_token + encoder.pos_embed[:, :1]).expand(len(x), -1, -1)
        x = torch.cat([first.to(x.dtype), x], dim=1)
        for block in encoder.blocks:
            x = block(x)
        return encoder.norm(x), mask.gather(1, restore), restore

    def patches(self, images: torch.Tensor) -> torch.Tensor:
        """Return the pixels of each patch, normalised by its mean and standard deviation."""
        count, channels, side, _ = images.shape
        grid = side // self.patch
        x = images.reshape(count, channels, grid, self.patch, grid, self.patch)
        x = torch.einsum("nchpwq->nhwpqc", x).reshape(count, grid**2, -1)
        return (x - x.mean(dim=-1, keepdim=True)) / (x.var(dim=-1, keepdim=True) + 1e-6).sqrt()


class PlainMoco(torch.nn.Module):
    """MoCo v3 (Chen et al. 2021, algorithm 1) of a ViT; the paper's heads are 4096 wide.

    Parameters
    ----------
    encoder : timm.models.vision_transformer.VisionTransformer
        Without its classifier.
    """

    def __init__(self, encoder: VisionTransformer, hidden: int = 4096) -> None:
        super().__init__()
        self.temperature = 0.2
        encoder.patch_embed.requires_grad_(False)
        encoder.pos_embed.requires_grad_(False)
        self.base = torch.nn.Sequential(encoder, head(encoder.num_features, hidden, hidden, 256))
        self.predictor = head(256, hidden, 256)
        self.slow = copy.deepcopy(self.base).requires_grad_(False)

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Return the symmetric contrastive loss of two views."""
        queries = [self.predictor(self.base(view)) for view in (first, second)]
        with torch.no_grad():
            for slow, fast in zip(self.slow.parameters(), self.base.parameters(), strict=True):
                slow.data = slow.data * 0.99 + fast.data * 0.01
            keys = [self.slow(view) for view in (first, second)]
        return self.contrast(queries[0], keys[1]) + self.contrast(queries[1], keys[0])

    def contrast(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Return the InfoNCE loss of queries against the keys of the batch."""
        q, k = normalize(queries, dim=1), normalize(keys, dim=1)
        logits = torch.einsum("nc,mc->nm", q, k) / self.temperature
        labels = torch.arange(len(q), device=q.device)
        return cross_entropy(logits, labels) * 2 * self.temperature


def head(*widths: int) -> torch.nn.Sequential:
    """Return linear layers, each with batch norm and, but the last, ReLU."""
    layers: list[torch.nn.Module] = []
    for number, (width, out) in enumerate(zip(widths, widths[1:], strict=False), 2):
        last = number == len(widths)
        layers += [torch.nn.Linear(width, out, bias=False)]
        layers += [torch.nn.BatchNorm1d(out, affine=not last)]
        layers += [] if last else [torch.nn.ReLU(inplace=True)]
    return torch.nn.Sequential(*layers)
