"""Training `erm` (empirical risk minimisation): the mean loss over all images, whatever their group.

This is plain fine-tuning, so the plug-in of this name is the trainer that all others extend.
"""

from medaudit.adapt.finetune.trainer import Trainer

__all__ = ["Trainer"]
