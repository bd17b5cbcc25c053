"""Ensembles of templates for images other than chest radiographs, with their sources.

A class has one prompt per template, for its presence and for its absence. With ``pooling: vector``
its embedding is the normalised mean of the normalised embeddings, as CLIP's owners build an ensemble
(Radford et al. 2021, section 3.1.4).
"""

from dataclasses import dataclass, field

OURS = "no published source: ours"
Words = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class TemplateSet:
    """Templates for one kind of image.

    Parameters
    ----------
    templates : tuple of str
        Sentences with ``{label}``.
    source : str
        Who published them.
    words : dict
        For tasks, in lower case: what stands for ``{label}`` if it is present, and if it is absent.
    words_source : str
        Who chose these words.
    """

    templates: tuple[str, ...]
    source: str
    words: Words = field(default_factory=dict)
    words_source: str = OURS

    def words_of(self, task: str) -> tuple[str, str, str]:
        """Return the words for presence and absence of a task, and their source."""
        own = self.words.get(task.casefold())
        return (*own, self.words_source) if own else (task.lower(), f"no {task.lower()}", OURS)


_EYE = {
    "glaucoma": ("glaucoma", "normal"),
    "amd": ("age-related macular degeneration", "normal"),
    "diabetic retinopathy": ("diabetic retinopathy", "no diabetic retinopathy"),
}

SETS = {
    # Two further templates of these owners say "skin cancer" whatever the label is.
    "skin": TemplateSet(
        (
            "This is a skin image of {label}",
            "A skin image of {label}.",
            "An image of {label}, a skin condition.",
            "{label}, a skin disorder, is shown in this image.",
            "The skin lesion depicted is {label}.",
        ),
        "DermLIP (Yan et al. 2025, Derm1M), templates that fit any label",
        {"malignant": ("a malignant lesion", "a benign lesion")},
    ),
    "fundus": TemplateSet(
        ("A fundus photograph of {label}",),
        "FLAIR (Silva-Rodriguez et al. 2025), without its optional adjective",
        _EYE,
    ),
    "oct": TemplateSet(
        ("A photo of {label}",),
        "FairCLIP (Luo et al. 2024)",
        {"glaucoma": ("glaucoma", "non-glaucoma")},
        "FairCLIP (Luo et al. 2024)",
    ),
    "brain": TemplateSet(
        (
            "a brain MRI of a patient with {label}",
            "a magnetic resonance image of the brain showing {label}",
            "an MRI slice of the head, {label}",
        ),
        OURS,
        {"dementia": ("dementia", "normal cognition")},
    ),
}
"""Sets of templates, by the ``templates`` of a method's entry."""
