"""Names that columns of a role commonly have: for files of predictions and for tables of images."""

import re

SYNONYMS = {
    "id": "image_id image img_id image_index image_name filename file_name file image_path path "
    "dicom_id sop_instance_uid sample_id study_id exam_id id uid",
    "patient": "patient_id patient subject_id subject pid person_id mrn",
    "split": "split set partition subset",
    "label": "label y y_true true_label target truth ground_truth gt labels class",
    "score": "score y_score prob probability y_prob y_proba proba pred_prob logit logits "
    "prediction y_pred pred output risk",
    "model": "model model_name algorithm classifier network",
    "method": "method adaptation",
    "task": "task finding disease pathology label_name condition class",
    "seed": "seed run repeat",
    "age": "age patient_age age_years age_at_study age_at_exam",
}


def plain(name: str) -> str:
    """Return a column name in lower case with single underscores."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return re.sub(r"[\W_]+", "_", spaced).strip("_").casefold()


def find_role(names: list[str], role: str, taken: set[str]) -> str | None:
    """Return the column not yet taken with the best name for `role`, or None."""
    known = {plain(name): name for name in reversed(names) if name not in taken}
    return next((known[word] for word in SYNONYMS[role].split() if word in known), None)
