"""The configuration as it is shipped, whole or with one entry changed."""

from copy import deepcopy

import yaml

from checkout import ROOT
from medaudit.config.catalogues import PARTS

SCHEMAS = ROOT / "workflow" / "schemas"


def merged(below: dict, above: dict) -> dict:
    nested = [k for k in above if isinstance(above[k], dict) and isinstance(below.get(k), dict)]
    return {**below, **above, **{k: merged(below[k], above[k]) for k in nested}}


def shipped(*overlays: str) -> dict:
    config = {}
    files = [ROOT / part for parts in PARTS.values() for part in parts]
    files.append(ROOT / "config" / "config.yaml")
    for path in [*files, *(ROOT / "config" / name for name in overlays)]:
        config = merged(config, yaml.safe_load(path.read_text()))
    return config


def edited(path: str, value: object) -> dict:
    config = deepcopy(shipped())
    *parents, key = path.split("/")
    place = config
    for parent in parents:
        place = place[parent]
    place[key] = value
    return config
