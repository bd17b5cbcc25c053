"""The table of what each kind of model can do, and the promise that building one downloads nothing."""

import pkgutil
import subprocess
import sys

import pytest

from checkout import ROOT
from medaudit.config.schema import entry_kinds, read_schema
from medaudit.core.errors import MedauditError
from medaudit.models import kinds
from medaudit.models.capabilities import KINDS

HUB_REQUEST = """
import {imports}
from medaudit.models.kinds import build
build({{"kind": "pixels", "dimension": 3}})
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled
try:
    hf_hub_download("no/such-model", "weights.bin")
except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
    print(type(error.__cause__ or error).__name__)
"""


def test_the_schema_and_the_table_have_the_same_kinds():
    schema = read_schema(ROOT / "workflow" / "schemas", "models")
    assert set(entry_kinds(schema, "kind")) == set(KINDS)


def test_a_kind_has_a_module_where_it_has_embeddings():
    modules = {module.name for module in pkgutil.iter_modules(kinds.__path__)}
    assert modules == {name for name, can in KINDS.items() if can.embedding}


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_without_embeddings_can_nothing_that_needs_an_encoder(name):
    can = KINDS[name]
    assert can.embedding or not (can.trainable or can.text or can.drop_path)
    assert can.trainable or not can.drop_path


def test_an_unknown_kind_lists_the_known_ones_the_most_similar_first():
    with pytest.raises(MedauditError, match="'medclp' to build; .*first: medclip, .*pixels"):
        kinds.build({"kind": "medclp"})


@pytest.mark.parametrize("imports", ["sys", "huggingface_hub.constants"])
def test_building_a_model_forbids_downloads(imports, tmp_path):
    """Also where the hub's library was imported before, as peft does in fine-tuning."""
    command = [sys.executable, "-c", HUB_REQUEST.format(imports=imports)]
    environment = {"PATH": "", "PYTHONPATH": str(ROOT / "src"), "HF_HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "OfflineModeIsEnabled"
