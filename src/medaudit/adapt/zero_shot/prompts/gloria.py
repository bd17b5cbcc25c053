"""GLoRIA's phrases for the classes of CheXpert 5x200, with the spelling of the published code.

Huang et al. 2021, ``CHEXPERT_CLASS_PROMPTS``; MedCLIP has the same phrases. Pneumothorax is not
among them: its phrases here are ours.
"""

from itertools import product

OURS = ("Pneumothorax",)
"""Classes whose phrases are not GLoRIA's."""

PHRASES: dict[str, tuple[tuple[str, ...], ...]] = {
    "Atelectasis": (
        ("", "mild", "minimal"),
        (
            "subsegmental atelectasis",
            "linear atelectasis",
            "trace atelectasis",
            "bibasilar atelectasis",
            "retrocardiac atelectasis",
            "bandlike atelectasis",
            "residual atelectasis",
        ),
        (
            "at the mid lung zone",
            "at the upper lung zone",
            "at the right lung zone",
            "at the left lung zone",
            "at the lung bases",
            "at the right lung base",
            "at the left lung base",
            "at the bilateral lung bases",
            "at the left lower lobe",
            "at the right lower lobe",
        ),
    ),
    "Cardiomegaly": (
        ("",),
        (
            "cardiac silhouette size is upper limits of normal",
            "cardiomegaly which is unchanged",
            "mildly prominent cardiac silhouette",
            "portable view of the chest demonstrates stable cardiomegaly",
            "portable view of the chest demonstrates mild cardiomegaly",
            "persistent severe cardiomegaly",
            "heart size is borderline enlarged",
            "cardiomegaly unchanged",
            "heart size is at the upper limits of normal",
            "redemonstration of cardiomegaly",
            "ap erect chest radiograph demonstrates the heart size is the upper limits of normal",
            "cardiac silhouette size is mildly enlarged",
            "mildly enlarged cardiac silhouette, likely left ventricular enlargement. other "
            "chambers are less prominent",
            "heart size remains at mildly enlarged",
            "persistent cardiomegaly with prominent upper lobe vessels",
        ),
        ("",),
    ),
    "Consolidation": (
        ("", "increased", "improved", "apperance of"),
        (
            "bilateral consolidation",
            "reticular consolidation",
            "retrocardiac consolidation",
            "patchy consolidation",
            "airspace consolidation",
            "partial consolidation",
        ),
        (
            "at the lower lung zone",
            "at the upper lung zone",
            "at the left lower lobe",
            "at the right lower lobe",
            "at the left upper lobe",
            "at the right uppper lobe",
            "at the right lung base",
            "at the left lung base",
        ),
    ),
    "Edema": (
        ("", "mild", "improvement in", "presistent", "moderate", "decreased"),
        ("pulmonary edema", "trace interstitial edema", "pulmonary interstitial edema"),
        ("",),
    ),
    "Pleural Effusion": (
        ("", "small", "stable", "large", "decreased", "increased"),
        ("left", "right", "tiny"),
        (
            "bilateral pleural effusion",
            "subpulmonic pleural effusion",
            "bilateral pleural effusion",
        ),
    ),
    "Pneumothorax": (
        ("", "tiny", "small", "moderate", "large", "persistent"),
        ("pneumothorax",),
        (
            "",
            "on the left",
            "on the right",
            "at the left apex",
            "at the right apex",
            "at the left lung base",
            "at the right lung base",
        ),
    ),
}


def combinations(name: str) -> list[str]:
    """Return all prompts of a class: one phrase of each list, joined by spaces, without duplicates.

    Empty phrases add no space (no tokenizer here would see it). The published lists have duplicate
    phrases, which would weigh twice in a mean.
    """
    joined = (" ".join(filter(None, parts)) for parts in product(*PHRASES[name]))
    return list(dict.fromkeys(joined))
