"""One trial by the published procedure, as a separate process; see `benchmarks/search.py`.

``python benchmarks/published_trial.py JSON`` prints the processor seconds of start-up, metrics and
training, and the value after the last epoch: the AUC of the worst group in each validation batch,
averaged over batches (not over images).
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from fairlearn import metrics as fair
from sklearn.metrics import accuracy_score, confusion_matrix, roc_auc_score


def published_trial(settings: dict, point: dict, folder: str, threads: int) -> dict:
    """Train a point to its end with metrics of every batch; return seconds and value."""
    import torch

    from medaudit.adapt.finetune.losses import batch_loss
    from medaudit.search.trial_runner import TrialRunner
    from medaudit.training.batches import epoch_order
    from medaudit.training.schedule import learning_rate, set_learning_rate

    entry, place = settings["entry"], Path(folder)
    runner = TrialRunner(
        settings, cohort=place / "cohort.parquet", images=place / "images", threads=threads
    )
    trainer = runner.begin(point)
    network, train, val = runner.network, runner.splits["train"], runner.splits["val"]
    sex = pd.read_parquet(place / "cohort.parquet")["a_sex"].to_numpy()
    start, metrics, value = time.process_time(), 0.0, 0.0
    for epoch in range(entry["epochs"]):
        order = epoch_order(len(train.rows), trainer.seed, epoch)
        for first in range(0, len(order), entry["batch_size"]):
            chosen = order[first : first + entry["batch_size"]]
            rate = learning_rate(
                epoch + first / len(order),
                peak=point["learning_rate"],
                epochs=entry["epochs"],
                warmup=entry["warmup_epochs"],
            )
            set_learning_rate(trainer.optimizer, rate)
            network.train()
            logits = network(runner.images.plain_batch(train.rows[chosen]))
            y = torch.from_numpy(train.y[chosen])
            trainer.optimizer.zero_grad()
            batch_loss(logits, y, torch.full_like(y, 1 / len(y)), False).backward()
            trainer.optimizer.step()
            metrics += batch_metrics(train.y[chosen], logits.detach(), sex[train.rows[chosen]])[1]
        worst = []
        network.eval()
        for first in range(0, len(val.rows), entry["batch_size"]):
            rows = val.rows[first : first + entry["batch_size"]]
            with torch.no_grad():
                logits = network(runner.images.plain_batch(rows))
            found = batch_metrics(val.y[first : first + len(rows)], logits, sex[rows])
            worst.append(found[0])
            metrics += found[1]
        value = float(np.nanmean(worst))
    return {
        "start": start,
        "metrics": metrics,
        "value": value,
        "training": time.process_time() - start - metrics,
    }


def batch_metrics(y: np.ndarray, logits, sex: np.ndarray) -> tuple[float, float]:
    """Compute the metrics that the published code computes for each batch.

    Returns
    -------
    float
        AUC of the worst group, NaN if no group has both classes.
    float
        Processor seconds.
    """
    begun, y, score = time.process_time(), y[:, 0], logits.sigmoid().numpy()[:, 0]
    decision, areas = score >= 0.5, []
    accuracy_score(y, decision)
    confusion_matrix(y, decision)
    for part in (np.ones(len(y), bool), sex == "male", sex == "female"):
        both = len(np.unique(y[part])) == 2
        areas.append(roc_auc_score(y[part], score[part]) if both else np.nan)
        accuracy_score(y[part], decision[part]) if part.any() else None
    for measure in (
        fair.equalized_odds_difference,
        fair.equalized_odds_ratio,
        fair.demographic_parity_difference,
        fair.demographic_parity_ratio,
    ):
        measure(y, decision, sensitive_features=sex)
    return float(np.fmin(*areas[1:])), time.process_time() - begun


if __name__ == "__main__":
    print(json.dumps(published_trial(**json.loads(sys.argv[1]))))
