"""Rules that rename the weights of a file to those of a timm model, as data instead of code."""

import re
from dataclasses import dataclass

import torch

from medaudit.models.weights.positions import Resampling

State = dict[str, torch.Tensor]
Renames = tuple[tuple[str, str], ...]
OUTSIDE = "~"
"""Start of the name of a weight that is outside of the encoder: it is left out."""


@dataclass(frozen=True)
class Rules:
    """How an owner names the weights of an encoder. All patterns are regular expressions.

    They are applied in this order: prefix, rename, shift, join, lead, fold.

    Parameters
    ----------
    sign : str
        A whole key, after the prefix is removed, that every file of this layout has.
    prefix : str
        Start of the encoder's keys; if any key has it, keys without it are outside of the encoder.
    needs_prefix : bool
        Whether a file without the prefix is of another layout.
    rename : tuple of (str, str)
        Patterns anywhere in a key, and their replacements, one after the other.
    variants : tuple of (str, tuple of (str, str))
        Further renames for files that have a key like the pattern.
    shift : str
        Pattern before and after a number that is one higher in timm, each a group.
    join : tuple of (tuple of str, str)
        Parts of keys whose tensors are concatenated, e.g. query, key and value to qkv.
    lead : tuple of str
        Keys to which an axis of length 1 is added in front.
    fold : bool
        With register tokens, timm adds the class token's position to the token itself.
    left_out : tuple of str
        Whole keys, renamed, that are not part of the encoder.
    positions, register_positions : Resampling, optional
        How the owner fits position embeddings to another image size, without and with register
        tokens; None: not at all.
    """

    sign: str
    prefix: str = ""
    needs_prefix: bool = False
    rename: Renames = ()
    variants: tuple[tuple[str, Renames], ...] = ()
    shift: str = ""
    join: tuple[tuple[tuple[str, ...], str], ...] = ()
    lead: tuple[str, ...] = ()
    fold: bool = False
    left_out: tuple[str, ...] = ()
    positions: Resampling | None = None
    register_positions: Resampling | None = None


def apply_rules(rules: Rules, state: State) -> State:
    """Return the weights under timm's names, those outside of the encoder marked by `OUTSIDE`.

    Raises
    ------
    ValueError
        The file has no key that is a sign of this layout, or two keys get the same name.
    """
    inside, outside = _inside(rules, state)
    if not _has(inside, rules.sign):
        raise ValueError(f"it has no weight like {_readable(rules.sign)}")
    more = [rename for sign, rename in rules.variants if _has(inside, sign)]
    renames = (*rules.rename, *(pair for rename in more for pair in rename))
    renamed: State = {}
    for key, value in inside.items():
        name = _renamed(renames, rules.shift, key)
        if name in renamed:
            raise ValueError(f"two of its weights get the same name, {name}")
        renamed[name] = value
    for parts, whole in rules.join:
        renamed = join_parts(renamed, parts, whole)
    for key in rules.lead:
        if key in renamed:
            renamed[key] = renamed[key][None]
    if rules.fold and "reg_token" in renamed and {"cls_token", "pos_embed"} <= renamed.keys():
        renamed |= _folded(renamed["cls_token"], renamed["pos_embed"])
    return renamed | {OUTSIDE + key: value for key, value in outside.items()}


def join_parts(state: State, parts: tuple[str, ...], whole: str) -> State:
    """Concatenate tensors, e.g. query, key and value to qkv, in the order of `parts`.

    Those of which a part is missing stay as they are, so that strict loading reports them.
    """
    joined = dict(state)
    for key in state:
        if not re.search(_bounded(parts[0]), key):
            continue
        names = [re.sub(_bounded(parts[0]), part, key) for part in parts]
        if all(name in joined for name in names):
            together = torch.cat([joined.pop(name) for name in names])
            joined[re.sub(_bounded(parts[0]), whole, key)] = together
    return joined


def _inside(rules: Rules, state: State) -> tuple[State, State]:
    found = {key: re.match(rules.prefix, key) for key in state} if rules.prefix else {}
    if not any(found.values()):
        if rules.needs_prefix:
            raise ValueError(f"none of its weights starts with {_readable(rules.prefix)}")
        return state, {}
    inside = {key[match.end() :]: state[key] for key, match in found.items() if match}
    return inside, {key: state[key] for key, match in found.items() if not match}


def _has(state: State, pattern: str) -> bool:
    return any(re.fullmatch(pattern, key) for key in state)


def _renamed(renames: Renames, shift: str, key: str) -> str:
    for pattern, replacement in renames:
        key = re.sub(pattern, replacement, key)
    found = re.fullmatch(shift, key) if shift else None
    return f"{found[1]}{int(found[2]) + 1}{found[3]}" if found else key


def _folded(token: torch.Tensor, positions: torch.Tensor) -> State:
    return {"cls_token": token + positions[:, :1], "pos_embed": positions[:, 1:]}


def _bounded(part: str) -> str:
    return rf"(?<![^.]){re.escape(part)}(?![^.])"


def _readable(pattern: str) -> str:
    return re.sub(r"\\d\+", "0", pattern).replace("\\", "").rstrip("?")
