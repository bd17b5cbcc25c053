from medaudit.audit.lint.pretraining_overlap import overlaps


def test_overlaps_with_the_audited_data_are_flagged():
    models = {
        "seen": {"pretraining_data": ["CheXpert", "MIMIC-CXR"]},
        "clean": {"pretraining_data": ["ImageNet-1k"]},
        "unknown": {"pretraining_data": None},
    }
    sentences = overlaps(models, ["chexpert", "nih"])
    assert len(sentences) == 2
    assert sentences[0].startswith("seen was pretrained on chexpert")
    assert sentences[1].startswith("unknown")
