"""How owners of encoders name their weights, as rules (`medaudit.models.weights.key_rules`).

- ``dinov2``: Oquab et al. 2023, "DINOv2", with and without register tokens, also the teacher of a
  training checkpoint: RAD-DINO (Perez-Garcia et al. 2025), RETFound (Zhou et al. 2023).
- ``dinov2_hf``: the same network as Hugging Face names it: RAD-DINO-MAIRA-2.
- ``siglip_vision``: a SigLIP image tower without its pooling head, as in MedGemma (Sellergren et al.
  2025).
- ``panderm``: the encoder of CAE (Chen et al. 2023), used by PanDerm (Yan et al. 2025).
- ``eva02``: Fang et al. 2024, "EVA-02", pretrained by masked image modelling: EVA-X (Yao et al. 2024).
- ``ark``: a Swin of timm 0.5, whose stages end with what today's begin with: Ark+ (Ma et al. 2025).
- ``davit_unicl``: DaViT (Ding et al. 2022) within UniCL: MedImageInsight (Codella et al. 2024).
- ``torchvision``: ResNets, DenseNets and ViTs of torchvision, and TorchXRayVision (Cohen et al. 2022).
"""

from medaudit.models.weights.key_rules import Rules
from medaudit.models.weights.positions import Resampling

_QUERY_KEY_VALUE = ((("query", "key", "value"), "qkv"),)

OWNERS = {
    "dinov2": Rules(
        sign=r"blocks\.(\d+\.)?\d+\.ls1\.gamma",
        prefix=r"(teacher\.)?backbone\.",
        rename=(
            (r"^blocks\.\d+\.(\d+)\.", r"blocks.\1."),  # blocks in chunks, for training
            (r"^register_tokens$", "reg_token"),
        ),
        fold=True,
        left_out=("mask_token", r"(dino|ibot)_head\..*"),
        positions=Resampling(offset=0.1),
        register_positions=Resampling(antialias=True),
    ),
    "dinov2_hf": Rules(
        sign=r"encoder\.layer\.\d+\.layer_scale1\.lambda1",
        rename=(
            (r"^embeddings\.(cls_token|mask_token)$", r"\1"),
            (r"^embeddings\.position_embeddings$", "pos_embed"),
            (r"^embeddings\.register_tokens$", "reg_token"),
            (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
            (r"^encoder\.layer\.", "blocks."),
            (r"\.attention\.attention\.", ".attn."),
            (r"\.attention\.output\.dense\.", ".attn.proj."),
            (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
            (r"^layernorm\.", "norm."),
        ),
        join=_QUERY_KEY_VALUE,
        fold=True,
        left_out=("mask_token",),
        positions=Resampling(),
        register_positions=Resampling(antialias=True),
    ),
    "siglip_vision": Rules(
        sign=r"embeddings\.patch_embedding\.weight",
        prefix=r"(model\.)?(vision_tower\.)?vision_model\.",
        needs_prefix=True,
        rename=(
            (r"^embeddings\.patch_embedding\.", "patch_embed.proj."),
            (r"^embeddings\.position_embedding\.weight$", "pos_embed"),
            (r"^encoder\.layers\.", "blocks."),
            (r"\.self_attn\.out_proj\.", ".attn.proj."),
            (r"\.self_attn\.", ".attn."),
            (r"\.layer_norm([12])\.", r".norm\1."),
            (r"^post_layernorm\.", "norm."),
        ),
        join=((("q_proj", "k_proj", "v_proj"), "qkv"),),
        lead=("pos_embed",),
        left_out=(r"embeddings\.position_ids",),
        positions=Resampling(),
    ),
    "panderm": Rules(
        sign=r"blocks\.\d+\.attn\.q_bias",
        prefix=r"encoder\.",
        left_out=("mask_token",),
    ),
    "eva02": Rules(
        sign=r"blocks\.\d+\.mlp\.w12?\.weight",
        rename=(
            (r"\.mlp\.ffn_ln\.", ".mlp.norm."),
            (r"\.attn\.inner_attn_ln\.", ".attn.norm."),
            (r"\.mlp\.w12\.", ".mlp.fc1."),
            (r"\.mlp\.w1\.", ".mlp.fc1_g."),
            (r"\.mlp\.w2\.", ".mlp.fc1_x."),
            (r"\.mlp\.w3\.", ".mlp.fc2."),
            (r"^norm\.", "fc_norm."),  # its owners average the patches, then apply the norm
        ),
        variants=(
            (
                r"blocks\.\d+\.attn\.q_proj\.weight",
                ((r"\.q_bias$", ".q_proj.bias"), (r"\.v_bias$", ".v_proj.bias")),
            ),
        ),
        left_out=("mask_token", r"lm_head\.(weight|bias)", r"(blocks\.\d+\.attn\.)?rope\..*"),
        positions=Resampling(antialias=True),
    ),
    "ark": Rules(
        sign=r"layers\.0\.blocks\.0\.attn\.relative_position_bias_table",
        prefix=r"(teacher\.)?module\.",  # its owners evaluate the teacher
        shift=r"(layers\.)(\d+)(\.downsample\..*)",
        left_out=(
            *(r".*\.attn_mask", r".*\.relative_position_index"),  # timm computes them
            *(r"projector\..*", r"omni_heads\..*", r"head\.(weight|bias)"),
        ),
    ),
    "davit_unicl": Rules(
        sign=r"convs\.0\.proj\.weight",
        prefix=r"(image_encoder|visual)\.",
        needs_prefix=True,
        rename=(
            (r"^convs\.0\.", "stem."),
            (r"^convs\.(\d+)\.", r"stages.\1.downsample."),
            (r"^(stem|stages\.\d+\.downsample)\.proj\.", r"\1.conv."),
            (r"^blocks\.(\d+)\.", r"stages.\1.blocks."),
            (r"\.(window|channel)_attn\.norm\.", ".norm1."),
            (r"\.(window|channel)_attn\.fn\.", ".attn."),
            (r"\.ffn\.norm\.", ".norm2."),
            (r"\.ffn\.fn\.net\.", ".mlp."),
            (r"\.conv([12])\.fn\.dw\.", r".cpe\1.proj."),
            (r"^norms\.", "head.norm."),
        ),
    ),
    "torchvision": Rules(
        sign=r"(conv1|features\.conv0|conv_proj)\.weight",
        rename=(
            (r"\.(norm|conv)\.([12])\.", r".\1\2."),  # DenseNets before torchvision 0.3
            (r"^class_token$", "cls_token"),
            (r"^encoder\.pos_embedding$", "pos_embed"),
            (r"^conv_proj\.", "patch_embed.proj."),
            (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
            (r"^encoder\.ln\.", "norm."),
            (r"\.ln_([12])\.", r".norm\1."),
            (r"\.self_attention\.in_proj_", ".attn.qkv."),
            (r"\.self_attention\.out_proj\.", ".attn.proj."),
            (r"\.mlp\.(0|linear_1)\.", ".mlp.fc1."),
            (r"\.mlp\.(3|linear_2)\.", ".mlp.fc2."),
            (r"^heads\.head\.", "head."),
        ),
        left_out=("op_threshs",),  # TorchXRayVision's operating points
        positions=Resampling(),
    ),
}
"""Layouts by name."""
