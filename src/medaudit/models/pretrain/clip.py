"""CLIP: contrastive learning of images and captions, which are made from a table of findings.

Radford et al. 2021, "Learning transferable visual models from natural language supervision",
arXiv 2103.00020; towers and loss of open_clip.
"""

import math

import numpy as np
import open_clip
import torch
from open_clip.loss import ClipLoss
from open_clip.tokenizer import SimpleTokenizer

from medaudit.core.errors import MedauditError
from medaudit.models.pretrain.algorithm import Algorithm, Batch
from medaudit.models.pretrain.settings import Settings
from medaudit.training.batches import to_device
from medaudit.training.distributed import process_rank, world_size

LARGEST_SCALE = math.log(100)


class ImageTextContrast(Algorithm):
    """open_clip's model, and the captions of all training images as token ids.

    Parameters
    ----------
    settings : Settings
        `architecture` and `arguments` as in `medaudit.models.kinds.clip`.
    captions : list of list of str
        For every image of the training set, one caption per template.
    """

    tokens: torch.Tensor

    draws = 1

    def __init__(self, settings: Settings, captions: list[list[str]]) -> None:
        super().__init__()
        config = model_config(settings)
        self.model = open_clip.model.CLIP(**config)
        texts, index = np.unique(np.array(captions), return_inverse=True)
        tokenize = SimpleTokenizer(context_length=config["text_cfg"]["context_length"])
        tokens = tokenize(texts.tolist())
        self.register_buffer("tokens", tokens, persistent=False)
        self.captions_of = torch.from_numpy(index.reshape(len(captions), -1))

    def encode(self, batch: Batch) -> torch.Tensor:
        """Return normalised embeddings of image and caption: [b, 2, dimension]."""
        # Many images share a caption: each distinct text is encoded once. They are found on the CPU;
        # on a GPU the processor would have to wait for their number.
        templates, device = self.captions_of.shape[1], batch.views.device
        template = (batch.draws[:, 0] * templates).long().clamp(max=templates - 1)
        texts, place = self.captions_of[batch.positions, template].unique(return_inverse=True)
        tokens = self.tokens[to_device(texts, device)]
        text = self.model.encode_text(tokens, normalize=True)[to_device(place, device)]
        image = self.model.encode_image(batch.views[:, 0], normalize=True)
        return torch.stack([image.float(), text.float()], dim=1)

    def loss(self, rows: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return open_clip's loss over the batch of all processes."""
        criterion = ClipLoss(
            local_loss=True,
            gather_with_grad=True,
            rank=process_rank(),
            world_size=world_size(),
        )
        return criterion(rows[:, 0], rows[:, 1], self.model.logit_scale.exp())

    @torch.no_grad()
    def end_step(self) -> None:
        """Keep the logit scale between 1 and 100, as open_clip does."""
        self.model.logit_scale.clamp_(0, LARGEST_SCALE)

    def weights(self) -> dict[str, torch.Tensor]:
        """Return both towers in open_clip's layout."""
        return self.model.state_dict()


def model_config(settings: Settings) -> dict:
    """Return open_clip's configuration of the architecture, changed by the settings' arguments.

    Raises
    ------
    MedauditError
        open_clip does not know the architecture, or its towers are not CLIP's own.
    """
    config = open_clip.get_model_config(settings.architecture)
    foreign = {"timm_model_name", "hf_model_name"}
    if config is None or foreign & {*config["vision_cfg"], *config["text_cfg"]}:
        raise MedauditError(
            f"pretraining {settings.name}: architecture {settings.architecture!r} is not a plain "
            "CLIP of open_clip; use e.g. ViT-B-16"
        )
    given = settings.arguments
    towers = {key: {**config[key], **given.get(key, {})} for key in ("vision_cfg", "text_cfg")}
    config = {**config, **given, **towers}
    if towers["vision_cfg"]["image_size"] != settings.input.size:
        raise MedauditError(
            f"pretraining {settings.name}: input.size {settings.input.size} differs from the "
            f"architecture's image_size {towers['vision_cfg']['image_size']}; set "
            "arguments.vision_cfg.image_size to it"
        )
    return config
