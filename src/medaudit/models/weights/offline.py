"""Keep the Hugging Face libraries from downloading anything."""

import os
import sys


def forbid_downloads() -> None:
    """Switch Hugging Face's libraries to offline mode, for this process and its children.

    Weights and vocabularies are local files whose hashes are checked. timm, transformers and
    open_clip would otherwise ask the hub for files that they miss, or for newer ones: the same
    catalogue entry could then give another model tomorrow, and a job on a node without a network
    would wait for time-outs.
    """
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        os.environ[name] = "1"
    # The hub's library reads the environment only once, when it is imported; peft and timm may
    # have imported it before a model is built.
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None:
        vars(constants)["HF_HUB_OFFLINE"] = True
