"""Masked autoencoder: predict the pixels of masked patches from the visible ones.

He et al. 2022, "Masked autoencoders are scalable vision learners", arXiv 2111.06377.
"""

import torch
from timm.layers import LayerNorm
from timm.models.vision_transformer import Block

from medaudit.models.pretrain.algorithm import Algorithm, Batch
from medaudit.models.pretrain.encoder import (
    build_encoder,
    fix_positions,
    initialise,
    position_table,
)
from medaudit.models.pretrain.settings import Mae, Settings
from medaudit.training.batches import to_device


class MaskedAutoencoder(Algorithm):
    """An encoder that sees only the visible patches, and a small decoder of all patches."""

    separable = True

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        options = settings.options
        assert isinstance(options, Mae)
        width, channels = options.decoder_width, settings.input.channels
        self.encoder = build_encoder(settings)
        self.patch = self.encoder.patch_embed.patch_size[0]
        patches = self.encoder.patch_embed.num_patches
        self.draws, self.kept = patches, int(patches * (1 - options.mask_ratio))
        self.normalise = options.normalise_pixels
        self.embed = torch.nn.Linear(self.encoder.embed_dim, width)
        self.mask_token = torch.nn.Parameter(torch.zeros(1, 1, width))
        blocks = (
            Block(width, options.decoder_heads, 4.0, qkv_bias=True, norm_layer=LayerNorm)
            for _ in range(options.decoder_depth)
        )
        self.blocks = torch.nn.Sequential(*blocks)
        self.norm = LayerNorm(width)
        self.predict = torch.nn.Linear(width, self.patch**2 * channels)
        self._initialise(width)

    def _initialise(self, width: int) -> None:
        initialise(self, split_qkv=False)
        torch.nn.init.normal_(self.encoder.cls_token, std=0.02)
        torch.nn.init.normal_(self.mask_token, std=0.02)
        fix_positions(self.encoder, rows_first=False)
        grid = self.encoder.patch_embed.grid_size[0]
        self.register_buffer("positions", position_table(width, grid, rows_first=False))

    def encode(self, batch: Batch) -> torch.Tensor:
        """Return each image's mean squared error over its masked patches, [b] (section 3, loss)."""
        images = batch.views[:, 0]
        # Sorting uniform numbers gives a random order of the patches; the first are kept. As in
        # the official code, so that any set of patches is equally likely.
        order = to_device(batch.draws, images.device).argsort(dim=1)
        predicted = self.decode(self.encode_kept(images, order[:, : self.kept]), order)
        error = (predicted.float() - self.pixels(images)).square().mean(dim=-1)
        return error.gather(1, order[:, self.kept :]).mean(dim=1)

    def encode_kept(self, images: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """Return tokens of the class token and of the patches numbered in `kept` ([b, k])."""
        encoder = self.encoder
        # Positions are added before patches are removed: a kept patch keeps its own position.
        tokens = encoder.patch_embed(images) + encoder.pos_embed[:, 1:]
        tokens = tokens.gather(1, kept[..., None].expand(-1, -1, tokens.shape[-1]))
        first = (encoder.cls_token + encoder.pos_embed[:, :1]).expand(len(tokens), -1, -1)
        return encoder.norm(encoder.blocks(torch.cat([first.to(tokens.dtype), tokens], dim=1)))

    def decode(self, latent: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        """Return the predicted pixels of all patches, [b, patches, patch**2 * channels]."""
        known = self.embed(latent)
        missing = order.shape[1] - self.kept
        filler = self.mask_token.to(known.dtype).expand(len(known), missing, -1)
        tokens = torch.cat([known[:, 1:], filler], dim=1)
        # `tokens` is in the order of `order`; argsort of a permutation is its inverse.
        place = order.argsort(dim=1)[..., None].expand(-1, -1, tokens.shape[-1])
        tokens = torch.cat([known[:, :1], tokens.gather(1, place)], dim=1) + self.positions
        return self.predict(self.norm(self.blocks(tokens)))[:, 1:]

    def pixels(self, images: torch.Tensor) -> torch.Tensor:
        """Return patches, [b, patches, rows * columns * channels], each normalised by itself."""
        count, channels, side, _ = images.shape
        grid = side // self.patch
        patches = images.reshape(count, channels, grid, self.patch, grid, self.patch)
        patches = patches.permute(0, 2, 4, 3, 5, 1).reshape(count, grid**2, -1)
        if not self.normalise:
            return patches
        # "Normalised pixels" of section 3: per patch, by the unbiased variance of the official
        # code.
        variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
        return (patches - mean) / (variance + 1e-6).sqrt()

    def loss(self, rows: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean over images; all have the same number of masked patches."""
        return rows.mean()

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the encoder in timm's layout."""
        return self.encoder.state_dict()
