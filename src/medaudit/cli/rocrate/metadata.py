"""The metadata of a crate, in the profile Workflow Run Crate 0.5."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rocrate.model.dataentity import DataEntity
    from rocrate.rocrate import ROCrate

    from medaudit.cli.rocrate import Part

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
TERMS = "https://w3id.org/ro/terms/workflow-run/context"
MAIN = "workflow/Snakefile"
ENGINE = "snakemake"
NAMED = (ENGINE, "medaudit", "numpy", "pandas", "scikit-learn", "scipy", "statsmodels", "torch")
"""Packages whose versions the metadata list; run.json lists all."""

FORMATS = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tex": "application/x-tex",
    ".yaml": "application/yaml",
}


def write_crate(
    parts: "Iterable[Part]",
    record: dict[str, Any],
    studies: list[str],
    licence: str,
    output: Path,
) -> None:
    """Write the files with their metadata as one zip file (RO-Crate 1.1).

    Parameters
    ----------
    parts : iterable of medaudit.cli.rocrate.Part
        The files; the target of one of them is `MAIN`.
    record : dict
        The content of ``run.json``.
    studies : list of str
        Names of the studies.
    licence : str
        Licence of the results: a web address or a sentence.
    output : Path
        The zip file.
    """
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

    crate = ROCrate(gen_preview=True, version="1.1")
    crate.metadata.extra_contexts.append(TERMS)
    _describe(crate, record, studies, licence)
    versions = {"python": record["environment"]["python"], **record["environment"]["packages"]}
    files = {part.target: _add(crate, part, versions) for part in parts}
    software = [
        crate.add(ContextEntity(crate, f"#{name}", _application(name, versions[name])))
        for name in ("python", *NAMED)
        if name in versions
    ]
    crate.mainEntity["softwareRequirements"] = software
    roles = {part.target: part.role for part in parts}
    crate.add_action(
        crate.mainEntity,
        identifier="#run",
        object=[files[name] for name, role in roles.items() if role == "input"],
        result=[files[name] for name, role in roles.items() if role == "result"],
        properties={
            "name": f"Audit of {', '.join(studies)}",
            "endTime": record["time"],
            "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
        },
    )
    crate.root_dataset["mentions"] = crate.get("#run")
    for address, (name, version) in PROFILES.items():
        about = {"@type": "CreativeWork", "name": name, "version": version}
        crate.root_dataset.append_to("conformsTo", crate.add(ContextEntity(crate, address, about)))
    crate.write_zip(output)


def _describe(crate: "ROCrate", record: dict[str, Any], studies: list[str], licence: str) -> None:
    titles = [record["config"]["studies"][name]["title"] for name in studies]
    crate.name = "; ".join(titles)
    crate.description = (
        f"Fairness audit by medaudit: {', '.join(studies)}. Report, tables, figures, cohort cards, "
        "configuration, hashed splits and versions; no image and no table of patients."
    )
    crate.license = {"@id": licence} if licence.startswith(("http://", "https://")) else licence
    crate.datePublished = record["time"]
    crate.root_dataset["dateCreated"] = record["time"]


def _add(crate: "ROCrate", part: "Part", versions: dict[str, str]) -> "DataEntity":
    about = {"name": Path(part.target).name, "description": part.about}
    if part.target == MAIN:
        return crate.add_workflow(
            part.source,
            part.target,
            main=True,
            lang=ENGINE,
            lang_version=versions.get(ENGINE),
            properties={**about, "name": "medaudit"},
        )
    kind = FORMATS.get(Path(part.target).suffix, "text/plain")
    return crate.add_file(
        part.source, part.target, properties={**about, "encodingFormat": kind}, record_size=True
    )


def _application(name: str, version: str) -> dict[str, str]:
    return {"@type": "SoftwareApplication", "name": name, "version": version}
