"""The catalogue entry of a ViT that trains in seconds."""


def vit_entry(embed_dim: int = 24, depth: int = 2) -> dict:
    """Return the entry of a timm model with random weights for images of 16 x 16 pixels."""
    size = {"img_size": 16, "patch_size": 8, "embed_dim": embed_dim, "depth": depth}
    return {
        "kind": "timm",
        "architecture": "vit_tiny_patch16_224",
        "arguments": {**size, "num_heads": 2},
        "weights": None,
        "input": {
            "size": 16,
            "channels": 3,
            "mean": [0.5] * 3,
            "std": [0.25] * 3,
            "interpolation": "bilinear",
        },
        "pooling": "token",
    }
