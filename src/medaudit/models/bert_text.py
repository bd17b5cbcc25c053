"""BERT text towers, and their word-piece tokenizer from a local vocabulary."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import torch
from torch import nn
from transformers import BertConfig, BertModel

from medaudit.core.errors import MedauditError
from medaudit.models.interface import ModelSettings
from medaudit.models.weights.files import resolve_weights, weights_path

CLINICAL_VOCABULARY = 28996  # Bio_ClinicalBERT, the cased vocabulary of BERT
# Keys of the owners' files that are not loaded: a buffer, and a head that no model here uses.
UNUSED = (r"text\.bert\.embeddings\.position_ids", r"text\.bert\.pooler\.dense\.(weight|bias)")

Pool = Callable[[tuple[torch.Tensor, ...], torch.Tensor], torch.Tensor]


class BertText(nn.Module):
    """BERT, a way to pool its hidden states, and a projection.

    Parameters
    ----------
    arguments : dict
        Changes to `transformers.BertConfig`, whose defaults are BERT base.
    pool : callable
        Maps all hidden states (embeddings first), each ``[m, length, width]``, and the mask
        ``[m, length]`` to ``[m, width]``.
    projection : torch.nn.Module
        Maps ``[m, width]`` to the embedding ``[m, d]``.
    """

    def __init__(self, arguments: dict, pool: Pool, projection: nn.Module) -> None:
        super().__init__()
        self.bert = BertModel(BertConfig(**arguments), add_pooling_layer=False)
        self.pool, self.projection = pool, projection

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return embeddings ``[m, d]`` for ids and mask ``[m, length]``."""
        out = self.bert(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        return self.projection(self.pool(out.hidden_states, mask))


class WordPieces:
    """Lower-casing BERT tokenizer; reads ``vocab.txt`` when it is first called.

    Parameters
    ----------
    settings : dict
        The catalogue entry; ``tokenizer`` names a folder, by default that of the weights.
    size : int
        Required number of entries in the vocabulary, which is that of the model.
    length : int
        Maximal number of tokens; longer texts are truncated.
    clean : callable, optional
        Applied to each text before it is tokenized.
    """

    def __init__(
        self,
        settings: ModelSettings,
        size: int,
        length: int,
        clean: Callable[[str], str] | None = None,
    ) -> None:
        self.settings, self.size, self.length = settings, size, length
        self.clean = clean

    def __call__(self, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ids and mask, int64 ``[m, longest]``."""
        encodings = self._tokenizer.encode_batch([*map(self.clean, texts)] if self.clean else texts)
        ids = torch.tensor([encoding.ids for encoding in encodings])
        return ids, torch.tensor([encoding.attention_mask for encoding in encodings])

    @cached_property
    def _tokenizer(self):
        from tokenizers import BertWordPieceTokenizer

        path = self._folder() / "vocab.txt"
        if not path.is_file():
            raise MedauditError(
                f"model {self.settings.get('name', self.settings['kind'])}: there is no {path}; "
                "put the vocabulary of the BERT that its text tower was trained with there"
            )
        tokenizer = BertWordPieceTokenizer(str(path), lowercase=True)
        if tokenizer.get_vocab_size() != self.size:
            raise MedauditError(
                f"{path} has {tokenizer.get_vocab_size()} entries, the text tower {self.size}: it is "
                "the vocabulary of another model; set `tokenizer` to the folder of the right one"
            )
        tokenizer.enable_truncation(self.length)
        tokenizer.enable_padding(pad_id=tokenizer.token_to_id("[PAD]"))
        return tokenizer

    def _folder(self) -> Path:
        if self.settings.get("tokenizer") is None and self.settings["weights"] is not None:
            return weights_path(self.settings).parent
        return resolve_weights(self.settings, "tokenizer")
