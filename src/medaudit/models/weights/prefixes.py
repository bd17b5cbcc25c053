"""Checkpoints as people save them: the encoder's weights behind a prefix, with a head beside them.

Training code wraps a network: ``module.`` (data parallel), ``_orig_mod.`` (torch.compile),
``model.`` or ``net.`` (Lightning), ``backbone.`` or ``encoder.`` (a classifier around it),
``teacher.`` and ``student.`` (self-distillation), and any of these in each other. No list of such
names is needed: the prefix is the one behind which all weights of the encoder are.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable

import torch

from medaudit.core.errors import MedauditError

State = dict[str, torch.Tensor]

DEEPEST = 5
"""Parts of a prefix at most, e.g. ``module._orig_mod.teacher.backbone.``."""

WRAPPERS = ("module", "_orig_mod", "model", "net")
"""What wraps a whole vision-language model; all keys begin with it."""

HEADS = (
    *("head", "heads", "head_dist", "fc", "classifier", "cls_head", "mlp_head", "last_linear"),
    *("linear", "logits", "dino_head", "ibot_head", "projector", "projection_head", "proj_head"),
    *("predictor", "prediction_head", "criterion"),
)
"""Parts of a file that are no encoder: classifiers and the heads of pretraining."""

log = logging.getLogger(__name__)


def is_head(key: str) -> bool:
    """Return whether a key is of a classifier or of a head of pretraining."""
    return any(part in HEADS for part in key.split(".")[:-1])


def take_prefix(
    state: State,
    encoder: Callable[[State], tuple[State, int] | None],
    wanted: str | None,
    what: str,
    decided: bool = False,
) -> tuple[State, str, State]:
    """Return the weights behind the prefix of the encoder, without it.

    Parameters
    ----------
    state : dict of str to torch.Tensor
        All weights of the file.
    encoder : callable
        Returns the encoder's weights among given ones, by name, and how many it lacks; None if
        these cannot be of the expected layout.
    wanted : str or None
        The prefix that the entry asks for (``""``: none); None to find it.
    what : str
        Model and file, for errors.
    decided : bool
        Whether `encoder` finds the right network by itself, as its owner does: Ark+'s teacher.

    Returns
    -------
    inside : dict of str to torch.Tensor
        Weights behind the prefix. Where no prefix fits, those behind the one that fits best, so
        that strict loading reports what differs.
    prefix : str
        With its final dot; empty if there is none.
    outside : dict of str to torch.Tensor
        The other weights of the file, under their full names.

    Raises
    ------
    MedauditError
        Several prefixes fit and have different weights, or no key begins with `wanted`.
    """
    if wanted is not None:
        prefix = wanted if not wanted or wanted.endswith(".") else f"{wanted}."
        if not any(key.startswith(prefix) for key in state):
            raise MedauditError(
                f"{what}: no key begins with `prefix: {wanted}`; the file's prefixes are "
                f"{', '.join(_prefixes(state)) or 'none'}"
            )
        inside, outside = _split(state, prefix)
        return inside, prefix, outside
    tried = {prefix: encoder(_split(state, prefix)[0]) for prefix in ("", *_prefixes(state))}
    known = {prefix: found for prefix, found in tried.items() if found is not None}
    fits = _different({prefix: own for prefix, (own, lacking) in known.items() if not lacking})
    fits = [""] if decided and "" in fits else fits
    if len(fits) > 1:
        shown = ", ".join(f"`prefix: {prefix}`" if prefix else '`prefix: ""`' for prefix in fits)
        raise MedauditError(
            f"{what}: the file has the weights of {len(fits)} encoders of this architecture, e.g. of "
            f"a student and its teacher; which one? Set {shown}"
        )
    best = fits[0] if fits else min(known, key=lambda prefix: known[prefix][1], default="")
    inside, outside = _split(state, best)
    if best:
        log.info("%s: %d weights are behind the prefix %s", what, len(inside), best)
    return inside, best, outside


def unwrap(state: State, what: str) -> State:
    """Remove what wraps a whole model: a part of `WRAPPERS` with which all keys begin."""
    removed = ""
    while len(first := {key.partition(".")[0] for key in state}) == 1 and first & {*WRAPPERS}:
        removed += f"{next(iter(first))}."
        state = {key.partition(".")[2]: value for key, value in state.items()}
    if removed:
        log.info("%s: all keys are behind the prefix %s", what, removed)
    return state


def summary(keys: Iterable[str]) -> list[str]:
    """Return keys for a sentence, as ``part.*`` where a part has more than two."""
    listed = sorted(keys)
    counts = Counter(key.partition(".")[0] for key in listed)
    return sorted(
        {
            key if counts[key.partition(".")[0]] <= 2 else f"{key.partition('.')[0]}.*"
            for key in listed
        }
    )


def _split(state: State, prefix: str) -> tuple[State, State]:
    inside = {
        key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)
    }
    outside = {key: value for key, value in state.items() if not key.startswith(prefix)}
    return inside, outside


def _prefixes(state: State) -> list[str]:
    """Return the prefixes that at least three keys share, the shortest first."""
    counts = Counter(
        ".".join(parts[:depth]) + "."
        for key in state
        for parts in [key.split(".")]
        for depth in range(1, min(DEEPEST, len(parts) - 1) + 1)
    )
    return sorted(
        (prefix for prefix, n in counts.items() if n > 2), key=lambda p: (p.count("."), p)
    )


def _different(encoders: dict[str, State]) -> list[str]:
    """Return the prefixes of encoders with different numbers; of those with the same, the first."""
    chosen: list[str] = []
    for prefix, own in encoders.items():
        if not any(_same(own, encoders[other]) for other in chosen):
            chosen.append(prefix)
    return chosen


def _same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
