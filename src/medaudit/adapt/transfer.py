"""Stage `transfer`: predict an external cohort with what was trained at home; nothing is trained."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.adapt.carried import scores
from medaudit.adapt.finetune_settings import TransferSettings
from medaudit.adapt.logits import ranked_probabilities
from medaudit.adapt.targets import predictions
from medaudit.core.errors import MedauditError
from medaudit.core.external import LOCAL, at_home
from medaudit.core.stage import run
from medaudit.core.table_io import COHORT, PREDICTIONS, read_metadata, read_table, write_table

NO_PATHS: list[Path] = []

log = logging.getLogger(__name__)


def transfer(
    settings: TransferSettings,
    *,
    cohort: Path,
    home: Path,
    output: Path,
    weights: list[Path] = NO_PATHS,
    embeddings: Path | None = None,
    images: Path | None = None,
    point: Path | None = None,
    threads: int = 1,
) -> None:
    """Predict the test and local splits of an external cohort.

    Parameters
    ----------
    settings : dict
        See `medaudit.adapt.finetune_settings.TransferSettings`.
    cohort : Path
        Table of the pair's cohort (`medaudit.data.external_cohort`).
    home : Path
        Predictions of the home cohort. The scores of its validation split are copied, so that
        `medaudit.audit.evaluate` chooses the same thresholds as at home.
    output : Path
        Table of `medaudit.core.table_io.PREDICTIONS`. Its footer is that of `home`, with the names
        of this run.
    weights : list of Path
        Heads that `probe` wrote, or weights that `finetune` wrote.
    embeddings, images : Path, optional
        Embeddings or image store of the external cohort: of probes and zero-shot methods, or of
        fine-tuned models.
    point : Path, optional
        The best point of a search at home.
    threads : int
        Processor threads.

    Raises
    ------
    MedauditError
        The files do not belong together.
    """
    frame = read_table(cohort, COHORT)
    away = frame[frame["split"].isin(["test", LOCAL])]
    found, logits = _logits(settings, away["image_id"], threads, weights, embeddings, images, point)
    if not found.all():
        log.warning("%d of %d images cannot be used", (~found).sum(), len(found))
    score = ranked_probabilities(logits, settings["task_type"] == "multiclass")
    columns = [settings["tasks"].index(task) for task in settings["kept"]]
    scored = predictions(away[found], score[:, :, columns], settings["kept"])
    old = read_table(home, PREDICTIONS)
    own = at_home(old[old["split"].eq("val") & old["task"].isin(settings["kept"])])
    if sorted(set(own["seed"])) != sorted(set(scored["seed"])):
        raise MedauditError(
            f"{home} has the seeds {sorted(set(own['seed']))}, the weights those of "
            f"{sorted(set(scored['seed']))}: delete both and train again"
        )
    footer = read_metadata(home)
    notes = [f"{(~found).sum()} images cannot be used and are left out"] if not found.all() else []
    write_table(
        pd.concat([own, scored], ignore_index=True),
        output,
        PREDICTIONS,
        **{
            **footer,
            "cohort": settings["cohort"],
            "home": settings["home"],
            "rows": {name: int((frame["split"] == name).sum()) for name in ("val", "test", LOCAL)},
            "notes": [*footer.get("notes", []), *notes],
        },
    )


def _logits(
    settings: TransferSettings,
    ids: pd.Series,
    threads: int,
    weights: list[Path],
    embeddings: Path | None,
    images: Path | None,
    point: Path | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return which images can be used, and their logits ``[seeds, images, tasks at home]``."""
    sources = scores.Sources(list(weights), embeddings, images, point)
    kind = settings["entry"]["kind"]
    if kind == "probe":
        from threadpoolctl import threadpool_limits

        with threadpool_limits(threads):
            return scores.probe(settings, ids, sources)
    if kind == "zero_shot":
        return scores.zero_shot(settings, ids, sources, threads)
    return scores.finetune(settings, ids, sources, threads)


if __name__ == "__main__":
    run(transfer)
