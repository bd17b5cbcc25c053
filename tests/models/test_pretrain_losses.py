"""Losses against plain statements of the papers' formulas, on the same weights and draws."""

import math

import numpy as np
import pytest
import torch

from medaudit.core.errors import MedauditError
from medaudit.models.pretrain.algorithm import Batch
from medaudit.models.pretrain.clip import LARGEST_SCALE, ImageTextContrast
from medaudit.models.pretrain.encoder import position_table
from medaudit.models.pretrain.gradient_accumulation import GradientAccumulation
from medaudit.models.pretrain.loop import _optimizer
from medaudit.models.pretrain.mae import MaskedAutoencoder
from medaudit.models.pretrain.moco_v3 import MomentumContrast
from medaudit.models.pretrain.settings import read_settings
from tiny_pretraining import RESNET, tiny_settings


def make_batch(count: int, views: int, channels: int, draws: int, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(count, views, channels, 32, 32, generator=generator)
    return Batch(pixels, torch.arange(count), torch.rand(count, draws, generator=generator))


def build(kind: type, algorithm: str, **changes) -> torch.nn.Module:
    torch.manual_seed(1)
    model = kind(read_settings(tiny_settings(algorithm, **changes)))
    for parameter in model.parameters():  # so that no bias or norm is trivial
        parameter.data += 0.02 * torch.randn_like(parameter)
    return model


def plain_layer_norm(x, layer):
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + 1e-6) * layer.weight + layer.bias


def plain_linear(x, layer):
    return x @ layer.weight.T + (0 if layer.bias is None else layer.bias)


def plain_block(x, block, heads):
    """A pre-norm transformer block on [tokens, width]."""
    tokens, width = x.shape
    qkv = plain_linear(plain_layer_norm(x, block.norm1), block.attn.qkv)
    q, k, v = qkv.reshape(tokens, 3, heads, width // heads).permute(1, 2, 0, 3)
    weights = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(width // heads), dim=-1)
    mixed = (weights @ v).transpose(0, 1).reshape(tokens, width)
    x = x + plain_linear(mixed, block.attn.proj)
    inner = plain_linear(plain_layer_norm(x, block.norm2), block.mlp.fc1)
    inner = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
    return x + plain_linear(inner, block.mlp.fc2)


def plain_patches(image, size):
    """[channels, s, s] to [patches, size * size * channels], row by row, channels innermost."""
    side = image.shape[1]
    return torch.stack(
        [
            torch.stack([image[:, y + dy, x + dx] for dy in range(size) for dx in range(size)])
            for y in range(0, side, size)
            for x in range(0, side, size)
        ]
    ).flatten(1)


def plain_sines(width, grid, rows_first):
    """Position embedding by its definition, one number at a time."""
    table = np.zeros((1 + grid * grid, width))
    quarter = width // 4
    for y in range(grid):
        for x in range(grid):
            for i in range(quarter):
                omega = 1 / 10000 ** (i / quarter)
                first, second = (y, x) if rows_first else (x, y)
                place = table[1 + y * grid + x]
                place[i], place[quarter + i] = math.sin(first * omega), math.cos(first * omega)
                place[2 * quarter + i] = math.sin(second * omega)
                place[3 * quarter + i] = math.cos(second * omega)
    return table


def plain_mae(model, batch, heads=2, ratio=0.75):
    """He et al. 2022, section 3: encode what is visible, decode all, error on what is masked."""
    encoder, losses, masked = model.encoder, 0.0, 0
    for image, noise in zip(batch.views[:, 0], batch.draws, strict=True):
        patches = plain_patches(image, 8)
        count = len(patches)
        order = sorted(range(count), key=lambda i, noise=noise: noise[i].item())
        visible = order[: int(count * (1 - ratio))]
        conv = encoder.patch_embed.proj
        kernel = conv.weight.permute(0, 2, 3, 1).flatten(1)
        tokens = patches @ kernel.T + conv.bias + encoder.pos_embed[0, 1:]
        x = torch.cat([encoder.cls_token[0] + encoder.pos_embed[0, :1], tokens[visible]])
        for block in encoder.blocks:
            x = plain_block(x, block, heads)
        x = plain_linear(plain_layer_norm(x, encoder.norm), model.embed)
        full = [model.mask_token[0, 0]] * count
        for row, index in enumerate(visible):
            full[index] = x[1 + row]
        sines = torch.tensor(plain_sines(16, 4, rows_first=False), dtype=torch.float32)
        x = torch.cat([x[:1], torch.stack(full)]) + sines
        for block in model.blocks:
            x = plain_block(x, block, 2)
        predicted = plain_linear(plain_layer_norm(x, model.norm), model.predict)[1:]
        for index in order[len(visible) :]:
            target = patches[index]
            variance = ((target - target.mean()) ** 2).sum() / (len(target) - 1)
            target = (target - target.mean()) / torch.sqrt(variance + 1e-6)
            losses = losses + ((predicted[index] - target) ** 2).mean()
            masked += 1
    return losses / masked


@pytest.mark.parametrize("channels", [1, 3])
def test_mae_loss_is_the_papers(channels):
    statistics = {"mean": [0.5] * channels, "std": [0.25] * channels}
    model = build(MaskedAutoencoder, "mae", input={"size": 32, "channels": channels, **statistics})
    batch = make_batch(5, 1, channels, draws=16)
    loss = model.loss(model.encode(batch), model.targets(batch))
    expected = plain_mae(model, batch)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    gradient = model.encoder.blocks[0].attn.qkv.weight.grad.clone()
    model.zero_grad()
    expected.backward()
    torch.testing.assert_close(
        gradient, model.encoder.blocks[0].attn.qkv.weight.grad, rtol=1e-4, atol=1e-6
    )


def test_mae_masks_three_quarters_and_draws_decide_which():
    model = build(MaskedAutoencoder, "mae")
    assert model.kept == 4  # of 16
    batch = make_batch(3, 1, 1, draws=16)
    other = Batch(batch.views, batch.positions, batch.draws.flip(1))
    assert not torch.allclose(model.encode(batch), model.encode(other))


def test_position_embedding_is_fixed_sines_of_each_paper():
    for rows_first in (False, True):
        table = position_table(32, 4, rows_first)[0]
        np.testing.assert_allclose(table, plain_sines(32, 4, rows_first), atol=1e-6)
    mae, moco = build(MaskedAutoencoder, "mae"), build(MomentumContrast, "moco_v3")
    assert not mae.encoder.pos_embed.requires_grad
    assert not moco.encoder.pos_embed.requires_grad


def plain_batch_norm(x, layer):
    mean, variance = x.mean(0), ((x - x.mean(0)) ** 2).mean(0)
    x = (x - mean) / torch.sqrt(variance + 1e-5)
    return x if layer.weight is None else x * layer.weight + layer.bias


def plain_head(x, layers):
    for layer in layers:
        if isinstance(layer, torch.nn.Linear):
            x = plain_linear(x, layer)
        elif isinstance(layer, torch.nn.ReLU):
            x = x.clamp(min=0)
        else:
            x = plain_batch_norm(x, layer)
    return x


def plain_class_token(encoder, image):
    conv = encoder.patch_embed.proj
    tokens = plain_patches(image, 8) @ conv.weight.permute(0, 2, 3, 1).flatten(1).T + conv.bias
    x = torch.cat([encoder.cls_token[0], tokens]) + encoder.pos_embed[0]
    for block in encoder.blocks:
        x = plain_block(x, block, 2)
    return plain_layer_norm(x, encoder.norm)[0]


def plain_moco(model, batch, temperature=0.2):
    """Algorithm 1 of Chen et al. 2021: ctr(q1, k2) + ctr(q2, k1), each times 2 * tau."""
    queries, keys = [], []
    for view in (0, 1):
        images = batch.views[:, view]
        fast = torch.stack([plain_class_token(model.encoder, image) for image in images])
        slow = torch.stack([plain_class_token(model.slow_encoder, image) for image in images])
        queries.append(plain_head(plain_head(fast, model.projector), model.predictor))
        keys.append(plain_head(slow, model.slow_projector).detach())
    total = 0.0
    for q, k in ((queries[0], keys[1]), (queries[1], keys[0])):
        for i in range(len(q)):
            cosines = [torch.cosine_similarity(q[i], k[j], dim=0) for j in range(len(k))]
            logits = torch.stack(cosines) / temperature
            total = total - (logits[i] - torch.logsumexp(logits, 0)) / len(q) * 2 * temperature
    return total


def test_moco_v3_loss_is_the_papers():
    model = build(MomentumContrast, "moco_v3")
    batch = make_batch(6, 2, 1, draws=0)
    loss = model.loss(model.encode(batch), model.targets(batch))
    expected = plain_moco(model, batch)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    gradient = model.encoder.blocks[1].mlp.fc1.weight.grad.clone()
    model.zero_grad()
    expected.backward()
    torch.testing.assert_close(
        gradient, model.encoder.blocks[1].mlp.fc1.weight.grad, rtol=1e-3, atol=2e-5
    )


def test_moco_v3_heads_are_the_official_ones():
    model = build(MomentumContrast, "moco_v3")
    kinds = [type(layer).__name__ for layer in model.projector]
    norm, linear = "GlobalBatchNorm", "Linear"
    assert kinds == [linear, norm, "ReLU", linear, norm, "ReLU", linear, norm]
    assert [type(layer).__name__ for layer in model.predictor] == [
        linear,
        norm,
        "ReLU",
        linear,
        norm,
    ]
    assert model.projector[-1].weight is None
    assert model.predictor[-1].weight is None
    assert all(layer.bias is None for layer in model.projector if hasattr(layer, "in_features"))


def build_resnet(**arguments) -> MomentumContrast:
    arguments = {**RESNET["arguments"], **arguments}
    return build(MomentumContrast, "moco_v3", **{**RESNET, "arguments": arguments})


def test_moco_v3_of_a_resnet_has_the_official_heads_and_loss():
    """Two layers in the projector, a predictor that ends without batch norm, nothing frozen."""
    model = build_resnet()
    norm, linear = "GlobalBatchNorm", "Linear"
    kinds = [
        [type(layer).__name__ for layer in head] for head in (model.projector, model.predictor)
    ]
    assert kinds == [[linear, norm, "ReLU", linear, norm], [linear, norm, "ReLU", linear]]
    assert model.projector[-1].weight is None
    assert model.projector[0].in_features == 64
    assert all(parameter.requires_grad for parameter in model.encoder.parameters())
    batch, temperature = make_batch(6, 2, 1, draws=0), 0.2
    loss = model.loss(model.encode(batch), model.targets(batch))
    queries, keys = [], []
    for view in (0, 1):  # batch statistics of one view at a time, as the official code
        images = batch.views[:, view]
        queries.append(
            plain_head(plain_head(model.encoder(images), model.projector), model.predictor)
        )
        keys.append(plain_head(model.slow_encoder(images), model.slow_projector))
    expected = 0.0
    for q, k in ((queries[0], keys[1]), (queries[1], keys[0])):
        for i in range(6):
            cosines = [torch.cosine_similarity(q[i], k[j], dim=0) for j in range(6)]
            logits = torch.stack(cosines) / temperature
            expected -= (logits[i] - torch.logsumexp(logits, 0)) / 6 * 2 * temperature
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(("done", "momentum"), [(0.0, 0.99), (0.5, 0.995), (1.0, 1.0)])
def test_momentum_encoder_follows_with_rising_momentum(done, momentum):
    model = build(MomentumContrast, "moco_v3")
    before = {k: v.clone() for k, v in model.slow_encoder.named_parameters()}
    heads = [p.clone() for p in model.slow_projector.parameters()]
    model.begin_step(done)
    fast = dict(model.encoder.named_parameters())
    for name, now in model.slow_encoder.named_parameters():
        expected = momentum * before[name] + (1 - momentum) * fast[name]
        torch.testing.assert_close(now, expected, rtol=0, atol=1e-6)
        assert not now.requires_grad
    for old, now, head in zip(
        heads, model.slow_projector.parameters(), model.projector.parameters(), strict=True
    ):
        torch.testing.assert_close(now, momentum * old + (1 - momentum) * head, rtol=0, atol=1e-6)


def test_clip_loss_is_the_papers_and_scale_stays_below_100():
    settings = read_settings(tiny_settings("clip"))
    torch.manual_seed(0)
    captions = [["edema", "a photo of edema"], ["mass", "a photo of mass"]] * 3
    model = ImageTextContrast(settings, captions)
    batch = make_batch(6, 1, 3, draws=1)
    loss = model.loss(model.encode(batch), model.targets(batch))
    from open_clip.tokenizer import SimpleTokenizer

    texts = [captions[i][int(2 * batch.draws[i, 0])] for i in range(6)]
    text = model.model.encode_text(SimpleTokenizer(context_length=16)(texts))
    image = model.model.encode_image(batch.views[:, 0])
    total = 0.0
    for i in range(6):
        rows = [torch.cosine_similarity(image[i], text[j], dim=0) / 0.07 for j in range(6)]
        columns = [torch.cosine_similarity(image[j], text[i], dim=0) / 0.07 for j in range(6)]
        for logits in (torch.stack(rows), torch.stack(columns)):
            total -= torch.log_softmax(logits, 0)[i] / 12
    assert loss.item() == pytest.approx(total.item(), rel=1e-5)
    model.model.logit_scale.data.fill_(9.0)
    model.end_step()
    assert model.model.logit_scale.item() == pytest.approx(LARGEST_SCALE)


@pytest.mark.parametrize("algorithm", ["mae", "moco_v3", "clip"])
def test_micro_batches_give_the_gradient_of_the_whole_batch(algorithm):
    def gradients(sizes):
        torch.manual_seed(0)
        settings = read_settings(tiny_settings(algorithm))
        if algorithm == "clip":
            model = ImageTextContrast(settings, [["edema"], ["mass"], ["no finding"]] * 4)
        else:
            model = (MaskedAutoencoder if algorithm == "mae" else MomentumContrast)(settings)
        channels = settings.input.channels
        whole = make_batch(12, model.views, channels, model.draws)
        parts = [
            Batch(*pieces)
            for pieces in zip(
                *(t.split(sizes) for t in (whole.views, whole.positions, whole.draws)), strict=True
            )
        ]
        loss = GradientAccumulation(model, lambda part: part).add(parts).item()
        named = model.named_parameters()
        return loss, {name: p.grad for name, p in named if p.grad is not None}

    loss, expected = gradients([12])
    pieces_loss, pieces = gradients([5, 5, 2])
    assert pieces_loss == pytest.approx(loss, rel=1e-5)
    assert pieces.keys() == expected.keys()
    assert max(g.abs().max() for g in expected.values()) > 1e-3
    for name, gradient in expected.items():
        torch.testing.assert_close(pieces[name], gradient, rtol=1e-3, atol=1e-5, msg=name)


def plain_lars(parameters, gradients, buffers, rate, decay):
    """One step of MoCo v3's LARS: no decay and no trust ratio for biases and norms."""
    for k, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
        update = gradient.clone()
        if parameter.ndim > 1:
            update += decay * parameter
            size, length = parameter.norm(), update.norm()
            update *= 0.001 * size / length if size > 0 and length > 0 else 1.0
        buffers[k] = 0.9 * buffers[k] + update
        parameter -= rate * buffers[k]


def test_resnets_of_moco_v3_can_be_trained_by_its_lars():
    settings = read_settings(tiny_settings("moco_v3", optimizer="lars", base_lr=0.3, **RESNET))
    torch.manual_seed(0)
    model = MomentumContrast(settings)
    optimizer = _optimizer(settings, model)
    trained = [p for p in model.parameters() if p.requires_grad]
    copies = [p.detach().clone() for p in trained]
    buffers = [torch.zeros_like(p) for p in trained]
    for step in range(4):
        generator = torch.Generator().manual_seed(step)
        for parameter in trained:
            parameter.grad = torch.randn(parameter.shape, generator=generator) * 0.1
        gradients = [p.grad.clone() for p in trained]
        optimizer.step()
        plain_lars(copies, gradients, buffers, settings.peak_lr, settings.weight_decay)
    for parameter, copy in zip(trained, copies, strict=True):
        # timm's trust ratio has the sum of the two norms below the line, not the norm of the sum.
        torch.testing.assert_close(parameter.detach(), copy, rtol=1e-5, atol=1e-6)


def test_lars_brings_the_official_settings_of_resnets():
    settings = read_settings({**tiny_settings("moco_v3", **RESNET), "optimizer": "lars"})
    given = tiny_settings("moco_v3", **RESNET)
    bare = {key: given[key] for key in ("name", "algorithm", "architecture", "arguments")}
    official = read_settings({**bare, "optimizer": "lars"})
    assert (official.base_lr, official.weight_decay, official.warmup_epochs) == (0.6, 1e-6, 10)
    assert official.options.temperature == 1.0
    assert settings.base_lr == given["base_lr"]
    assert read_settings(bare).options.temperature == 0.2


@pytest.mark.parametrize("algorithm", ["mae", "moco_v3"])
def test_lars_is_refused_where_its_authors_use_adamw(algorithm):
    with pytest.raises(MedauditError, match="lars is for"):
        kind = {"mae": MaskedAutoencoder, "moco_v3": MomentumContrast}[algorithm]
        kind(read_settings(tiny_settings(algorithm, optimizer="lars")))
