"""Prompts for zero-shot classification in four formats, with the source of their text.

``clip``
    One template with the label's text: "a photo of a {label}" (Radford et al. 2021). The template
    is CLIP's; the text of the labels is ours.
``gloria``
    All combinations of radiologists' phrases for severity, subtype and location (Huang et al.
    2021; MedCLIP and CXR-CLIP use the same dictionary); see
    `medaudit.adapt.zero_shot.prompts.gloria`.
``cxrclip``
    The pair "{label}" and "No {label}" (You et al. 2023, binary evaluation), so that a class has a
    negative prompt; exclusive classes are compared by their log-odds. CXR-CLIP's own evaluation
    leaves out the learnt logit scale; here it is applied.
``templates``
    An ensemble of templates for skin, fundus, OCT or brain images, or the user's own, for presence
    and absence of each task; see `medaudit.adapt.zero_shot.prompts.templates`.
"""

from dataclasses import asdict, dataclass

from medaudit.adapt.zero_shot.prompts import gloria
from medaudit.adapt.zero_shot.prompts.templates import SETS, TemplateSet
from medaudit.core.entry_types import MethodEntry
from medaudit.core.errors import MedauditError
from medaudit.core.seeds import generator

FORMATS = ("clip", "gloria", "cxrclip", "templates")
TEMPLATE = "a photo of a {label}"
"""CLIP's template, the default of the format ``clip``."""

WORDS = {"Effusion": "pleural effusion", "Edema": "pulmonary edema"}
"""Text for labels that are ambiguous by themselves; other labels are put in lower case."""

NAMES = {"Effusion": "Pleural Effusion"}
"""Names of classes in GLoRIA and CXR-CLIP, where they differ from the dataset's."""


@dataclass(frozen=True)
class ClassPrompts:
    """The prompts of one class.

    Parameters
    ----------
    task : str
        Name of the class.
    positive, negative : tuple of str
        Prompts for its presence, and for its absence (empty if the format has none).
    source : str
        Source of the text.
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


def make_prompts(entry: MethodEntry, tasks: list[str]) -> list[ClassPrompts]:
    """Return the prompts of all tasks.

    Parameters
    ----------
    entry : dict
        The method's entry: ``format`` (one of `FORMATS`); ``template`` with ``{label}`` (only ``clip``; `TEMPLATE` by
        default); ``labels``: text for the name of a task; ``prompts_per_class``: how many of a
        class's combinations to draw, the same in every run (only ``gloria``; all by default);
        ``templates``: the name of a set, or templates with ``{label}``, and ``absent``: text for the
        absence of a task (only ``templates``).
    tasks : list of str
        Names of the classes.

    Raises
    ------
    MedauditError
        The format is unknown, or has no prompts for a task.
    """
    makers = {"clip": _clip, "gloria": _gloria, "cxrclip": _cxrclip, "templates": _templates}
    if entry["format"] not in makers:
        raise MedauditError(f"prompt format {entry['format']!r} is unknown; there are {FORMATS}")
    return [makers[entry["format"]](entry, task) for task in tasks]


def _clip(entry: MethodEntry, task: str) -> ClassPrompts:
    template = entry.get("template") or TEMPLATE
    if "{label}" not in template:
        raise MedauditError(f"the prompt template {template!r} does not contain {{label}}: add it")
    label = entry.get("labels", {}).get(task, WORDS.get(task, task.lower()))
    source = "template: CLIP" if template == TEMPLATE else "template: configuration"
    return ClassPrompts(task, (template.format(label=label),), (), f"{source}; label: ours")


def _cxrclip(entry: MethodEntry, task: str) -> ClassPrompts:
    label = entry.get("labels", {}).get(task, NAMES.get(task, task))
    return ClassPrompts(task, (label,), (f"No {label}",), "CXR-CLIP's binary pair")


def _templates(entry: MethodEntry, task: str) -> ClassPrompts:
    chosen = entry["templates"]
    if isinstance(chosen, str) and chosen not in SETS:
        raise MedauditError(
            f"there are no prompt templates {chosen!r}; there are {sorted(SETS)}, or give a list of "
            "your own, each with {label}"
        )
    used = SETS[chosen] if isinstance(chosen, str) else TemplateSet(tuple(chosen), "configuration")
    wrong = [template for template in used.templates if "{label}" not in template]
    if wrong:
        raise MedauditError(f"the prompt template {wrong[0]!r} does not contain {{label}}: add it")
    present, absent, source = used.words_of(task)
    given = entry.get("labels", {}).get(task), entry.get("absent", {}).get(task)
    words = [mine or theirs for mine, theirs in zip(given, (present, absent), strict=True)]
    source = "configuration" if all(given) else source
    positive, negative = (
        tuple(template.replace("{label}", word) for template in used.templates) for word in words
    )
    return ClassPrompts(task, positive, negative, f"templates: {used.source}; words: {source}")


def _gloria(entry: MethodEntry, task: str) -> ClassPrompts:
    name = entry.get("labels", {}).get(task, NAMES.get(task, task))
    if name not in gloria.PHRASES:
        raise MedauditError(
            f"the format gloria has no phrases for {task!r}; it has {sorted(gloria.PHRASES)}. Map "
            "the task to one of these in `labels`, or use another format"
        )
    prompts = gloria.combinations(name)
    count = entry.get("prompts_per_class")
    if count is not None and count < len(prompts):
        drawn = generator("prompts", "gloria", name).choice(len(prompts), count, replace=False)
        prompts = [prompts[index] for index in sorted(drawn)]
    source = "ours, in GLoRIA's form" if name in gloria.OURS else "GLoRIA"
    return ClassPrompts(task, tuple(prompts), (), source)
