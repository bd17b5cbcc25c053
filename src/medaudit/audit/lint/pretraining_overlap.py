"""Models that saw an audited dataset during pretraining."""


def overlaps(models: dict[str, dict], datasets: list[str]) -> list[str]:
    """Return a sentence for each model that saw an audited dataset during pretraining.

    Names are compared without case, so ``pretraining_data: [CheXpert]`` meets ``chexpert``. A
    model whose ``pretraining_data`` is unknown (null or lacking) gets a sentence as well.
    """
    audited = {dataset.casefold(): dataset for dataset in datasets}
    sentences = []
    for name, entry in models.items():
        seen = entry.get("pretraining_data")
        both = [audited[item.casefold()] for item in seen or [] if item.casefold() in audited]
        if seen is None:
            sentences.append(f"{name}: what it was pretrained on is not stated in the catalogue")
        elif both:
            sentences.append(
                f"{name} was pretrained on {', '.join(both)}: "
                "images of the audited test set may have been seen"
            )
    return sentences
