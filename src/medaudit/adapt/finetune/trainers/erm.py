"""Empirical risk: the mean loss over the training images, whatever their group."""

from medaudit.adapt.finetune.trainer import Trainer

__all__ = ["Trainer"]
