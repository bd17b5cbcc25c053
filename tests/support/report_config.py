"""The configuration of a report on an invented study, and a name that is code."""

from synthetic_study import EVALUATION

HOSTILE = "<img src=x onerror=alert(1)>"


def config_of(study: dict, title: str) -> dict:
    return {
        "run": ["demo"],
        "evaluation": EVALUATION
        | {"threshold": {"rule": "best_f1"}, "minimum": {"n": 10, "n_pos": 3, "n_neg": 3}},
        "models": {"pixels": {"kind": "pixels", "licence": "Apache-2.0"}},
        "methods": {"linear": {"kind": "probe", "learning_rates": [0.1, 0.2]}},
        "studies": {"demo": study["settings"]["entry"] | {"title": title}},
    }
