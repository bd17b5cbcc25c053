"""medaudit: end-to-end fairness audit of medical-imaging foundation models.

In a notebook::

    import medaudit

    found = medaudit.audit(y_true, y_score, groups={"sex": sex}, patients=patient)
    found.by_group, found.gaps, found.worst(), found.summary()

`audit` is `medaudit.score.notebook.audit`; it is loaded at its first use.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "audit": "medaudit.audit",  # a package that can be called; see there
    "Audit": "medaudit.score.audit_result",
    "CustomMetric": "medaudit.score.custom_metrics",
}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'medaudit' has no attribute {name!r}")
    module = import_module(_PUBLIC[name])
    return getattr(module, name, module)


def __dir__() -> list[str]:
    return [*globals(), *_PUBLIC]
