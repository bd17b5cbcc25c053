"""Weights files: find and verify them, read every format safely, load them strictly.

- `files`: which file a model needs and whether it is there (without torch, at every start).
- `load`: reads any format into a dictionary of tensors, and loads it into a module strictly.
- `torch_files` with `pickles`, `safetensors_files`, `tensor_bundle` (TensorFlow): formats that `load`
  reads.
- `checkpoint_layouts`: owners' names of weights, renamed to timm's; most as rules (`key_rules`) in
  `owner_layouts`. `positions`: position embeddings at another image size.
- `offline`: no model is ever downloaded.
"""
