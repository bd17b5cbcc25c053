from medaudit.audit.lint.pretraining_overlap import overlaps


def test_overlaps_with_the_audited_data_are_flagged():
    models = {
        "seen": {"pretraining_data": ["CheXpert", "MIMIC-CXR"]},
        "clean": {"pretraining_data": ["ImageNet-1k"]},
        "unknown": {"pretraining_data": None},
    }
    found = overlaps(models, ["chexpert", "nih"])
    assert [overlap.model for overlap in found] == ["seen", "unknown"]
    assert found[0].sentence.startswith("seen was pretrained on chexpert: ")
    assert "are unknown" in found[1].sentence
