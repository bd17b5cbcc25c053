"""One audit, one filled card, and every form that is made of them."""

import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medaudit.cli import main
from medaudit.config.audit_card import NOT_GIVEN, fields, read_card, read_schema
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import GAPS, METRICS, read_table
from medaudit.report.dossier import draft, write_dossier
from medaudit.report.dossier.checklists import NAMES, read_definition
from medaudit.report.dossier.run_facts import MAKERS
from medaudit.score import score

CHAI = {
    "": "BasicInfo ReleaseInfo ModelSummary UsesAndDirections Warnings TrustIngredients KeyMetrics "
    "Resources Bibliography",
    "BasicInfo": "ModelName ModelDeveloper DeveloperContact",
    "ReleaseInfo": "ReleaseStage ReleaseDate ReleaseVersion GlobalAvailability EHRCompatibility? "
    "RegulatoryApproval?",
    "ModelSummary": "Summary Keywords",
    "Keywords": "Keyword*",
    "UsesAndDirections": "IntendedUseAndWorkflow PrimaryIntendedUsers HowToUse "
    "TargetedPatientPopulation CautionedOutOfScopeSettings",
    "Warnings": "KnownRisksAndLimitations KnownBiasesOrEthicalConsiderations ClinicalRiskLevel",
    "TrustIngredients": "AISystemFacts TransparencyInformation",
    "AISystemFacts": "OutcomesAndOutputs ModelType FoundationModels? InputDataSource "
    "OutputAndInputDataTypes DevelopmentDataCharacterization BiasMitigationApproaches "
    "OngoingMaintenance Security? Transparency?",
    "TransparencyInformation": "FundingSource ThirdPartyInformation? StakeholdersConsulted",
    "KeyMetrics": "UsefulnessUsabilityEfficacy FairnessEquity SafetyReliability",
    **dict.fromkeys(
        ("UsefulnessUsabilityEfficacy", "FairnessEquity", "SafetyReliability"),
        "MetricGoal Results Interpretation TestType TestingDataDescription "
        "ValidationProcessAndJustification",
    ),
    "Results": "MetricResult+",
    "MetricResult": "Label ValueJson",
    "Resources": "EvaluationReferences? ClinicalTrial? PeerReviewedPublications "
    "ReimbursementStatus? PatientConsentOrDisclosure",
}
"""The sequences of CHAI's schema v0.2 as regular expressions over element names."""

SPACE = "{https://mc.chai.org/v0.2/schema.xsd}"


def chai_problems(element: ET.Element, name: str = "") -> list[str]:
    """Return where an element's children are not those of the schema, in its order."""
    children = [child for child in element if isinstance(child.tag, str)]
    if name not in CHAI and name:
        return [f"{name} has children"] if children else []
    pattern = "".join(
        rf"(?:{re.sub('[?*+]$', '', part)} ){part[-1] if part[-1] in '?*+' else ''}"
        for part in CHAI[name].split()
    )
    names = [child.tag.removeprefix(SPACE) for child in children]
    found = [] if re.fullmatch(pattern, "".join(f"{n} " for n in names)) else [f"{name}: {names}"]
    return found + [p for c, n in zip(children, names, strict=True) for p in chai_problems(c, n)]


class Text(HTMLParser):
    """The text of a page, and the addresses that it links to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href"]

    def handle_data(self, data):
        self.parts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts).split())


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """Results of `medaudit score` on invented patients, some with two images."""
    rng = np.random.default_rng(7)
    patient = rng.integers(0, 220, 320)
    sex, age = rng.choice(["<b>F</b>", "M"], 220), rng.integers(25, 90, 220)
    y = rng.random(320) < 0.35
    strength = np.where(sex[patient] == "M", 2.2, 0.9)
    frame = pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(320)],
            "patient_id": [f"p{k}" for k in patient],
            "sex": sex[patient],
            "age": age[patient],
            "label": y.astype(int),
            "score": 1 / (1 + np.exp(-(rng.normal(size=320) + np.where(y, strength, -1)))),
        }
    )
    folder = tmp_path_factory.mktemp("dossier")
    frame.to_csv(folder / "chest.csv", index=False)
    score(
        folder / "chest.csv", attributes=["sex", "age_group"], draws=60, margins={"tpr": 0.1}
    ).write(folder / "results")
    return folder / "results"


def fill_card(text: str) -> str:
    """Uncomment the fields of a drafted card, each with a text of its own."""
    section, lines = "", []
    for line in text.splitlines():
        if found := re.match(r"(\w+):$", line):
            section = found[1]
        field = re.match(r"  # (\w+):  #", line)
        if field and field[1] == "margins":
            lines.append("  margins: {tpr: 0.1}")
        elif field:
            value = "apache-2.0" if field[1] == "license" else f'"{section} {field[1]} <&> said"'
            lines.append(f"  {field[1]}: {value}")
        else:
            lines.append(line)
    return "\n".join(lines)


@pytest.fixture(scope="module")
def filled(results, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    (folder / "card.yaml").write_text(fill_card(draft()))
    main(
        ["dossier", str(results), "--card", str(folder / "card.yaml"), "--out", str(folder / "out")]
    )
    return folder / "out"


@pytest.fixture(scope="module")
def empty(results, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("empty")
    write_dossier(results, None, folder, {})
    return folder


def chai_texts(folder: Path) -> dict[str, str]:
    root = ET.parse(folder / "chai_model_card.xml").getroot()
    return {element.tag.removeprefix(SPACE): element.text or "" for element in root.iter()}


def test_a_filled_card_gives_valid_forms(results, filled):
    card = read_card(filled.parent / "card.yaml")
    given = {f"{f.section}.{f.name}": f.text for f in fields(card)}
    assert None not in given.values()

    record = json.loads((filled / "dossier.json").read_text())
    assert record["not_given"] == []
    assert len(record["remarks"]) == 1  # nothing but how to validate CHAI's card

    for name in NAMES:
        page = Text((filled / f"{name}.html").read_text())
        definition = read_definition(name)
        for entry in definition["items"]:
            for place in entry["card"]:
                assert given[place] in page.text, (name, entry["item"], place)
        assert definition["checked"].split(";")[0] in page.text
        assert all(
            (filled / link.partition("#")[0]).exists() for link in page.links if link != "data:,"
        )
        rows = pd.read_csv(filled / f"{name}.csv", dtype=str, keep_default_na=False)
        assert rows["item"].tolist() == [entry["item"] for entry in definition["items"]]
        assert not (rows["status"] == "in part").any()
        nobody = [e["item"] for e in definition["items"] if not e["card"] and not e["run"]]
        assert rows.loc[rows["status"] == NOT_GIVEN, "item"].tolist() == nobody

    root = ET.parse(filled / "chai_model_card.xml").getroot()
    assert root.tag == f"{SPACE}AppliedModelCard"
    assert chai_problems(root) == []
    as_json = json.loads((filled / "chai_model_card.json").read_text())["AppliedModelCard"]
    assert (
        as_json["BasicInfo"]["ModelName"]
        == "model name <&> said"
        == chai_texts(filled)["ModelName"]
    )

    readme = (filled / "hugging_face" / "README.md").read_text()
    hub = pytest.importorskip("huggingface_hub")
    hub_card = hub.ModelCard(readme)
    assert hub_card.data.license == "apache-2.0"
    assert hub_card.data.model_name == given["model.name"]
    measured = read_table(results / "evaluate" / "chest" / "model" / "given.csv", METRICS)
    whole = measured[measured["attribute"].eq("all") & measured["seed"].eq("mean")]
    auc = whole.set_index("metric").at["auc", "value"]
    said = {r.metric_name: r.metric_value for r in hub_card.data.eval_results}
    assert said["AUC (all patients)"] == pytest.approx(auc, abs=1e-9)

    summary = Text((filled / "summary.html").read_text())
    assert "Every field" in summary.text and NOT_GIVEN not in summary.text
    assert "script" not in summary.tags


def test_numbers_are_those_of_their_source(results, filled):
    gaps = read_table(results / "disparity" / "chest" / "model" / "given.csv", GAPS)
    gaps = gaps[gaps["seed"].eq("mean") & gaps["gap"].eq("max_min")]
    summary = Text((filled / "summary.html").read_text()).text
    for row in gaps[gaps["metric"].eq("tpr")].to_dict("records"):
        shown = f"{row['value']:.3f} (95 % CI {row['low']:.3f} to {row['high']:.3f})"
        assert shown in summary

    root = ET.parse(filled / "chai_model_card.xml").getroot()
    found = {}
    for result in root.iter(f"{SPACE}MetricResult"):
        label, value = (result.find(f"{SPACE}{name}").text for name in ("Label", "ValueJson"))
        found[label] = json.loads(value)
    tpr = gaps[gaps["metric"].eq("tpr") & gaps["attribute"].eq("sex")].iloc[0]
    assert found["TPR by sex: largest difference (2 of 2 groups), label"] == {
        "kind": "estimate_ci",
        "estimate": tpr["value"],
        "lower": tpr["low"],
        "upper": tpr["high"],
        "level": 95.0,
        "unit": "",
    }


def test_the_cross_table_counts_the_decisions(results, filled):
    scores = pd.read_parquet(results / "predictions" / "chest" / "model" / "given.parquet")
    groups = pd.read_parquet(results / "cohort" / "chest.parquet")[["image_id", "a_sex"]]
    scores = scores.merge(groups, on="image_id")
    rows = pd.read_csv(filled / "stard_ai.csv", dtype=str).set_index("item")
    for sex in ("<b>F</b>", "M"):
        own = scores[scores["a_sex"] == sex]
        cells = [0, 0, 0, 0]
        for truth, value in zip(own["y"], own["score"], strict=True):
            cells[(0 if value >= 0.5 else 1) if truth == 1 else (2 if value >= 0.5 else 3)] += 1
        line = "label, sex {}: {} true positive, {} false negative, {} false positive, {} true negative."
        assert line.format(sex, *cells) in rows.at["30", "answer"].split("\n")


def test_without_a_card_everything_that_people_know_is_not_given(empty):
    record = json.loads((empty / "dossier.json").read_text())
    assert len(record["not_given"]) == sum(
        len(part["properties"]) for part in read_schema()["properties"].values()
    )
    rows = pd.read_csv(empty / "tripod_ai.csv", dtype=str, keep_default_na=False).set_index("item")
    assert rows.at["3c", "status"] == rows.at["3c", "answer"] == NOT_GIVEN
    assert rows.at["23a", "status"] == "from the run"
    assert rows.at["14", "status"] == "in part"
    assert chai_problems(ET.parse(empty / "chai_model_card.xml").getroot()) == []
    assert chai_texts(empty)["FundingSource"] == NOT_GIVEN
    assert "license" not in (empty / "hugging_face" / "README.md").read_text().split("---")[1]
    assert NOT_GIVEN in Text((empty / "summary.html").read_text()).text


def test_names_from_a_file_are_no_markup(filled):
    for path in [filled / "summary.html", *(filled / f"{name}.html" for name in NAMES)]:
        assert "b" not in Text(path.read_text()).tags
    readme = (filled / "hugging_face" / "README.md").read_text()
    assert "<b>" not in readme.split("\n---\n", 1)[1]


def test_the_schema_of_chai_is_checked_here(filled):
    text = (filled / "chai_model_card.xml").read_text()
    assert chai_problems(ET.fromstring(re.sub("<ModelDeveloper>.*?</ModelDeveloper>", "", text)))
    assert chai_problems(ET.fromstring(text.replace("ReleaseDate>", "Released>")))


def test_checklists_have_the_official_numbers():
    for name in NAMES:
        definition = read_definition(name)
        numbers = [entry["item"] for entry in definition["items"]]
        assert len(set(numbers)) == len(numbers) == definition["counts"]["rows"]
        whole = list(dict.fromkeys(int(re.match(r"\d+", number)[0]) for number in numbers))
        assert whole == list(range(1, definition["counts"]["numbers"] + 1))
        for entry in definition["items"]:
            assert set(entry["run"]) <= set(MAKERS)


def test_a_margin_of_the_card_that_is_not_the_runs_is_said_everywhere(results, tmp_path):
    (tmp_path / "card.yaml").write_text("fairness: {margins: {tpr: 0.05}}\n")
    made = write_dossier(results, tmp_path / "card.yaml", tmp_path / "out", {})
    words = "The audit card names the margins"
    assert any(words in remark for remark in made["remarks"])
    for name in ("summary.html", "tripod_ai.html", "chai_model_card.xml"):
        assert words in (tmp_path / "out" / name).read_text()


def test_one_run_of_several_must_be_named(results, tmp_path):
    with pytest.raises(MedauditError, match="--model theirs: .* it has model"):
        write_dossier(results, None, tmp_path, {"model": "theirs"})
    with pytest.raises(MedauditError, match=r"no run\.json"):
        write_dossier(tmp_path, None, tmp_path, {})


def test_the_report_shows_the_card(results, tmp_path):
    frame = pd.DataFrame({"id": range(60), "sex": ["f", "m"] * 30, "label": [0, 0, 1, 1] * 15})
    frame["score"] = np.random.default_rng(1).random(60)
    (tmp_path / "card.yaml").write_text("ethics: {approval: 'No. 12 <b>'}\n")
    page = score(frame, draws=20).write(tmp_path / "r", tmp_path / "card.yaml").read_text()
    section = page.partition('<section id="audit-card"')[2].partition("</section>")[0]
    assert "No. 12 &lt;b&gt;" in section
    count = sum(len(part["properties"]) for part in read_schema()["properties"].values())
    assert section.count(f"<em>{NOT_GIVEN}</em>") == count - 1
