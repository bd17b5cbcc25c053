"""From predictions to metrics, gaps and where a gap came from; rules in ``audit.smk``.

In:  predictions and cohorts (for `attribute_probes` also embeddings).
Out: stages `evaluate` (metrics by group), `disparity` (gaps), `dialects` (each paper's own
     definitions), `gap_decomposition`, `attribute_probes`, `conditional_gaps` (at equal age, view,
     ...), `sensitivity` (what would make a gap vanish), `remedies` (what remedies change) and
     `lint` (protocol checks).
May import: `medaudit.core`, `medaudit.data`, `medaudit.metrics`. No torch.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """This package, which notebooks also call: ``medaudit.audit(y_true, y_score, groups=...)``.

    The function's name is that of this package, and Python makes a package an attribute of its
    parent when it is first imported. It is loaded by name, as no stage may depend on `score`.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return import_module("medaudit.score.notebook").audit(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage
