"""Settings that are wrong in every way a schema can say: one message each, before anything runs.

All of them (about 16,000, two minutes) with ``pytest -m slow``; of each kind some, by seed, else.
"""

from collections import defaultdict
from copy import deepcopy
from functools import lru_cache
from random import Random

import pytest

from medaudit.config import validation as checked
from medaudit.config.catalogues import CATALOGUES
from medaudit.config.schema import entry_kinds, read_schema, validate
from medaudit.config.validation import check
from medaudit.core.errors import MedauditError
from shipped_config import SCHEMAS, shipped
from wrong_settings import Mutant, complete, mutants

SAMPLE = 24
SEED = 20261122
OWN = {"cohorts": ["nih_6x200"], "models": ["pixels"], "methods": ["linear"]}
LONGEST = 3000


@pytest.fixture(autouse=True)
def schemas_read_once(monkeypatch):
    read = lru_cache(lambda name: read_schema(SCHEMAS, name))
    monkeypatch.setattr(checked, "read_schema", lambda _, name: read(name))


def small() -> dict:
    """The shipped configuration, less all that one small study does not need."""
    full = check(shipped(), SCHEMAS)
    kept = {"run": ["own"], "evaluation": full["evaluation"]}
    kept["studies"] = {"own": {"title": "Own", **OWN}}
    kept["pretrainings"] = {"mae_small": full["pretrainings"]["mae_small"]}
    seen = kept["pretrainings"]["mae_small"]
    names = {*OWN["cohorts"], *seen["cohorts"], *seen["audited"]}
    kept["cohorts"] = {name: full["cohorts"][name] for name in sorted(names)}
    used = {entry["dataset"] for entry in kept["cohorts"].values()}
    kept["datasets"] = {name: full["datasets"][name] for name in sorted(used)}
    kept["models"] = {"pixels": full["models"]["pixels"]}
    kept["methods"] = {"linear": full["methods"]["linear"]}
    return kept


def full_entries(catalogue: str) -> dict[str | None, tuple[dict, dict]]:
    """Return by kind an entry with every key there is, and its schema."""
    schema, key = read_schema(SCHEMAS, catalogue), CATALOGUES[catalogue]
    kinds = {None: schema} if key is None else entry_kinds(schema, key)
    entries = [
        entry
        for overlay in ([], ["paper.yaml"])
        for entry in check(shipped(*overlay), SCHEMAS)[catalogue].values()
    ]
    found = {}
    for kind, part in kinds.items():
        node = part if kind is None else {"$defs": schema["$defs"], **part}
        first = next((e for e in entries if kind is None or e[key] == kind), {key: kind})
        entry = complete(deepcopy(first), node, node.get("$defs", {}))
        if catalogue == "studies":
            entry |= OWN | {"also": [OWN]}
        if kind == "subjects":
            entry["split"] = first["split"]
        found[kind] = entry, node
    return found


def all_mutants():
    base = small()
    root = {"root": base}
    for mutant in mutants(root, read_schema(SCHEMAS, "config"), ("root",)):
        says = tuple(word.replace("root", "config", 1) for word in mutant.says)
        yield mutant, says
    for catalogue in CATALOGUES:
        for entry, schema in full_entries(catalogue).values():
            whole = {**base, catalogue: {**base[catalogue], "fuzzed": entry}}
            assert list(validate(deepcopy(entry), schema, "")) == []
            for mutant in mutants(whole, schema, (catalogue, "fuzzed")):
                yield mutant, mutant.says


def complaint(mutant: Mutant, says: tuple[str, ...]) -> str | None:
    """Return what is wrong with the answer to a configuration, None if it is as it should be."""
    config = mutant.config
    try:
        check(config.get("root", config), SCHEMAS)
    except MedauditError as error:
        lacking = [word for word in says if word not in str(error)]
        return f"does not say {lacking}: {error}" if lacking or len(str(error)) > LONGEST else None
    except Exception as error:
        return f"raises {type(error).__name__}: {error}"
    return "is accepted"


@pytest.mark.slow
def test_every_mistake_is_said_with_place_value_and_what_is_allowed():
    found = [(str(m), complaint(m, says)) for m, says in all_mutants()]
    wrong = [pair for pair in found if pair[1]]
    print(f"{len(found)} wrong configurations, {len(wrong)} without a right answer")
    assert len(found) > 10_000
    assert wrong == []


def test_some_mistakes_of_every_kind_are_said_with_place_value_and_what_is_allowed():
    kinds, found = defaultdict(list), []
    for one in all_mutants():
        kinds[one[0].keyword, len(one[0].path) > 2].append(one)
    assert len(kinds) > 25
    for pool in kinds.values():
        for mutant, says in Random(SEED).sample(pool, min(SAMPLE, len(pool))):
            found.append((str(mutant), complaint(mutant, says)))
    assert len(found) > 400
    assert [pair for pair in found if pair[1]] == []
