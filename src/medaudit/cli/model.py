"""``medaudit model``: what an entry of the catalogue is, the state of its file, and what it sees."""

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medaudit.cli.options import Commands, add_configuration, add_parser, make_console
from medaudit.core.errors import MedauditError

if TYPE_CHECKING:
    import numpy as np

    from medaudit.data.image_store import Images
    from medaudit.models.interface import Encoder

EXAMPLES = """\
  medaudit model rad_dino
  medaudit model mine --configfile mine.yaml
  medaudit model chexzero --images films/*.png --output chexzero.png

The contact sheet has eight pictures above what the model sees of them: those given, or of a cohort
whose images a run has stored, or else phantoms.
"""
PICTURES = 8
STORES = Path("results", "images")
FACTS = {
    "label": "label",
    "kind": "kind",
    "architecture": "architecture",
    "source": "source",
    "licence": "licence",
}


def add(commands: Commands) -> None:
    """Add the subcommand."""
    text = "show a model: facts, file, parameters, preprocessing, and what it sees"
    parser = add_parser(commands, "model", text, run, EXAMPLES)
    parser.add_argument("name", metavar="NAME", help="an entry of the catalogue of models")
    add_configuration(parser)
    parser.add_argument("--images", nargs="+", type=Path, metavar="FILE", help="pictures to show")
    parser.add_argument(
        "--cohort",
        metavar="NAME",
        help="the cohort whose stored images are shown (default: the first)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="of the contact sheet (default: NAME.png)"
    )


def run(options: dict) -> None:
    """Print what is known about the model and write its contact sheet."""
    from medaudit.cli.dry_run import read_config
    from medaudit.config.entries import model_entry

    name, config = options["name"], read_config(options["configfile"])
    if name not in config["models"]:
        near = get_close_matches(name, config["models"], 5, 0.4)
        known = f"the most similar: {', '.join(near)}" if near else ", ".join(config["models"])
        raise MedauditError(f"there is no model {name!r} in the catalogue; {known}")
    entry: dict[str, Any] = {**model_entry(config, name), "name": name}
    lines = _facts(entry)
    if "members" in entry:
        lines["members"] = ", ".join(entry["members"])
    encoder = None
    if "weights" in entry or entry["kind"] == "pixels":
        encoder, more = _network(entry)
        lines |= more
    if "input" in entry:
        lines["preprocessing"] = _preprocessing(entry)
        lines["contact sheet"] = _write_sheet(entry, encoder, options)
    console = make_console()
    for what, text in lines.items():
        console.print(f"{what:<18} {text}", markup=False, soft_wrap=True)


def _facts(entry: dict[str, Any]) -> dict[str, str]:
    lines = {"model": entry["name"]}
    lines |= {title: str(entry[key]) for key, title in FACTS.items() if entry.get(key)}
    if "pretraining_data" in entry:
        lines["pretraining data"] = ", ".join(entry["pretraining_data"] or ["none"])
    made = entry.get("pretraining")
    if made:
        parts = (made["objective"], f"{made['domain']} images", made.get("method", ""))
        lines["pretraining"] = ", ".join(dict.fromkeys(filter(None, parts)))
    return lines


def _network(entry: dict[str, Any]) -> tuple["Encoder | None", dict[str, str]]:
    """Return the encoder, if it can be built, and what there is to say about file and network."""
    from medaudit.models import overview
    from medaudit.models.weights.offline import forbid_downloads

    forbid_downloads()
    state = overview.file_state(entry["name"], entry)
    lines = {"file": "none: random weights, seeded" if state.path is None else str(state.path)}
    if state.path is not None:
        lines["file"] += f", {state.size / 1e6:,.1f} MB" if state.sha256 else ", missing"
    if state.sha256:
        agrees = "as in the catalogue" if entry.get("sha256") else "the catalogue has none"
        lines["sha256"] = f"{state.sha256} ({agrees})" if not state.problems else state.sha256
    if state.problems:
        lines["problem"] = "; ".join(state.problems)
    counts = overview.parameters(entry)
    lines["parameters"] = (
        ", ".join(f"{n:,} ({tower} tower)" for tower, n in counts.items()) or "none"
    )
    encoder = None if state.problems else overview.load(entry)
    if isinstance(encoder, str):
        return None, lines | {"loads": f"no: {encoder}"}
    if encoder is not None:
        lines["loads"] = _loaded(encoder.spec())
    return encoder, lines


def _loaded(spec: dict[str, Any]) -> str:
    parts = ["yes"]
    if spec.get("dimension"):
        parts.append(f"embeddings of {spec['dimension']:,} numbers")
    if spec.get("left_out"):
        parts.append(f"left out: {', '.join(spec['left_out'])}")
    if spec.get("fresh"):
        parts.append(f"new: {', '.join(spec['fresh'])}")
    return "; ".join(parts)


def _preprocessing(entry: dict[str, Any]) -> str:
    from medaudit.models.interface import ImageInput

    given = ImageInput.from_settings(entry)
    ways = {
        "crop": f"shorter side to {given.resized}",
        "pad": f"black bars to a square, which is resized to {given.resized}",
        "stretch": f"both sides to {given.resized}",
    }
    cropped = given.square == "crop" or given.resized > given.size
    middle = f", the middle {given.size} x {given.size}" if cropped else ""
    mean, std = (", ".join(f"{value:.5g}" for value in x) for x in (given.mean, given.std))
    channels = "1 channel" if given.channels == 1 else "3 channels"
    return (
        f"{ways[given.square]}{middle} ({given.interpolation}); {channels}, mean {mean}, std {std}"
    )


def _write_sheet(entry: dict[str, Any], encoder: "Encoder | None", options: dict) -> str:
    import cv2

    from medaudit.core.table_io import atomic
    from medaudit.models.overview import contact_sheet, seen

    images, what = _pictures(options)
    path = options["output"] or Path(f"{entry['name']}.png")
    sheet = contact_sheet(images, seen(images, entry, encoder))
    done, content = cv2.imencode(".png", sheet[..., ::-1])
    if not done:
        raise MedauditError(f"the contact sheet {path} could not be encoded as PNG")
    with atomic(path) as temporary:
        temporary.write_bytes(content.tobytes())
    return f"{path}: {what}"


def _pictures(options: dict) -> tuple["Images", str]:
    """Return the pictures of the sheet and where they come from."""
    from medaudit.data.image_store import open_store

    if options["images"]:
        return _read(options["images"][:PICTURES]), "the given pictures"
    wanted = options["cohort"] or "*"
    stores = sorted(path.parent for path in STORES.glob(f"{wanted}/images.npy"))
    if options["cohort"] and not stores:
        raise MedauditError(
            f"{STORES} has no images of cohort {options['cohort']!r}: run its study first, or leave "
            "out --cohort"
        )
    if not stores:
        return _phantoms(), "phantoms (no stored images in results/images)"
    store = open_store(stores[0])
    ids = store.ids[:: max(1, len(store.ids) // PICTURES)][:PICTURES]
    return store.read(ids), f"images of cohort {stores[0].name}"


def _read(paths: list[Path]) -> list["np.ndarray"]:
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    pictures = []
    for path in paths:
        try:
            with Image.open(path) as image:
                colour = image.mode not in ("1", "L", "I;16")
                pictures.append(np.asarray(image.convert("RGB" if colour else "L")))
        except (OSError, UnidentifiedImageError) as error:
            raise MedauditError(f"{path} is not a picture that can be read: {error}") from error
    return pictures


def _phantoms() -> list["np.ndarray"]:
    """Return chest phantoms, some of them wide or tall, so that cropping and padding show."""
    import pandas as pd

    from medaudit.data.phantoms.chest import render

    sexes, views = ("male", "female"), ("PA", "AP")
    rows = pd.DataFrame(
        {
            "image_id": f"image {k}",
            "patient_id": f"patient {k}",
            "age": 20 + 8 * k,
            "a_sex": sexes[k % 2],
            "view": views[k // 4],
            "y_pleural_effusion": float(k in (2, 3)),
        }
        for k in range(PICTURES)
    )
    shapes = ((512, 512), (400, 512), (512, 400), (512, 512))
    drawn = render(rows, {}, 512)
    return [picture[: shapes[k % 4][0], : shapes[k % 4][1]] for k, picture in enumerate(drawn)]
