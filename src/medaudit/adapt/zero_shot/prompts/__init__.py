"""Prompts of zero-shot classification in three formats, and whose words they are.

``clip``
    One template and the label's words: "a photo of a {label}" (Radford et al. 2021). The template
    is the owner's; the words for the labels are ours.
``gloria``
    Radiologists' phrases for severity, kind and place, in all combinations (Huang et al. 2021; the
    same dictionary is MedCLIP's and CXR-CLIP's); see `medaudit.adapt.zero_shot.prompts.gloria`.
``cxrclip``
    The pair "No {label}" and "{label}" (You et al. 2023, binary evaluation), so that a class has a
    negative; for exclusive classes their log-odds compete. The owner's evaluation leaves out the
    learnt logit scale; here it counts.
"""

from dataclasses import asdict, dataclass

from medaudit.adapt.zero_shot.prompts import gloria
from medaudit.core.errors import MedauditError
from medaudit.core.seeds import generator

FORMATS = ("clip", "gloria", "cxrclip")
TEMPLATE = "a photo of a {label}"
WORDS = {"Effusion": "pleural effusion", "Edema": "pulmonary edema"}
"""Words for a label that says too little by itself; all others are the label in lower case."""

NAMES = {"Effusion": "Pleural Effusion"}
"""Owners' names of classes that a dataset calls otherwise."""


@dataclass(frozen=True)
class ClassPrompts:
    """The prompts of one class.

    Parameters
    ----------
    task : str
        The class.
    positive, negative : tuple of str
        Prompts for it, and against it where the format has such.
    source : str
        Whose words they are.
    """

    task: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    source: str

    def spec(self) -> dict:
        """Return the prompts as JSON."""
        return {
            **asdict(self),
            "positive": list(self.positive),
            "negative": list(self.negative),
        }


def make_prompts(entry: dict, tasks: list[str]) -> list[ClassPrompts]:
    """Return the prompts of every task.

    Parameters
    ----------
    entry : dict
        ``format`` (one of `FORMATS`); ``template`` with ``{label}`` (``clip`` only; `TEMPLATE` by
        default); ``labels``: words for a task's name; ``prompts_per_class``: draw so many of a
        class's combinations, the same at every run (``gloria`` only; all by default).
    tasks : list of str
        The classes.

    Raises
    ------
    MedauditError
        The format is unknown, or has no words for a task.
    """
    makers = {"clip": _clip, "gloria": _gloria, "cxrclip": _cxrclip}
    if entry["format"] not in makers:
        raise MedauditError(f"prompt format {entry['format']!r} is unknown; there are {FORMATS}")
    return [makers[entry["format"]](entry, task) for task in tasks]


def _clip(entry: dict, task: str) -> ClassPrompts:
    template = entry.get("template") or TEMPLATE
    if "{label}" not in template:
        raise MedauditError(f"the prompt template {template!r} holds no {{label}}")
    label = entry.get("labels", {}).get(task, WORDS.get(task, task.lower()))
    whose = "template: CLIP" if template == TEMPLATE else "template: configuration"
    return ClassPrompts(task, (template.format(label=label),), (), f"{whose}; label: ours")


def _cxrclip(entry: dict, task: str) -> ClassPrompts:
    label = entry.get("labels", {}).get(task, NAMES.get(task, task))
    return ClassPrompts(task, (label,), (f"No {label}",), "CXR-CLIP's binary pair")


def _gloria(entry: dict, task: str) -> ClassPrompts:
    name = entry.get("labels", {}).get(task, NAMES.get(task, task))
    if name not in gloria.PHRASES:
        raise MedauditError(
            f"the gloria prompts have no phrases for {task!r}; they know {sorted(gloria.PHRASES)}. "
            "Name one of them in `labels`, or use another format"
        )
    prompts = gloria.combinations(name)
    count = entry.get("prompts_per_class")
    if count is not None and count < len(prompts):
        drawn = generator("prompts", "gloria", name).choice(len(prompts), count, replace=False)
        prompts = [prompts[index] for index in sorted(drawn)]
    whose = "ours, in GLoRIA's form" if name in gloria.OURS else "GLoRIA"
    return ClassPrompts(task, tuple(prompts), (), whose)
