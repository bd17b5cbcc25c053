"""Changes of every group's metrics from plain training to each remedy, with intervals."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from medaudit.audit.remedies.arms import MEASURED, Arm, Measured, measure_arms
from medaudit.core.audit_tables import WORST
from medaudit.core.errors import MedauditError
from medaudit.core.mitigation import BEST_SEED, OTHER_SEEDS, PLAIN
from medaudit.core.seeds import generator
from medaudit.metrics.audit_settings import AuditSettings
from medaudit.metrics.simultaneous import simultaneous


def compare_arms(
    arms: Sequence[Arm],
    images: pd.DataFrame,
    attribute: str,
    task: str,
    settings: AuditSettings,
    threads: int = 1,
) -> pd.DataFrame:
    """Return the rows of `medaudit.core.audit_tables.REMEDIES` of one attribute and task.

    Parameters
    ----------
    arms : sequence of Arm
        With `PLAIN` for each rule.
    images : pandas.DataFrame
        ``image_id``, ``patient_id``, ``y_<task>``, ``a_<attribute>`` of the test images, in the
        order of the arms' scores.
    attribute, task : str
        Names; an intersection as ``sex & age_group``.
    settings : dict
        Of ``evaluation``: ``bootstrap``, ``minimum``, ``ece_bins``.
    threads : int
        Blocks of draws computed at once; changes no number.

    Returns
    -------
    pandas.DataFrame
        One row per rule, remedy, group and metric; the family of the intervals is all remedies,
        controls and groups of one rule and metric.
    """
    evaluation = settings["evaluation"]
    found = measure_arms(arms, images, attribute, task, evaluation, threads)
    level = evaluation["bootstrap"]["level"]
    rows: list[dict] = []
    for rule in dict.fromkeys(arm.rule for arm in arms):
        own = [k for k, arm in enumerate(arms) if arm.rule == rule]
        plain = [k for k in own if arms[k].remedy == PLAIN]
        if not plain:
            raise MedauditError(f"there is no arm {PLAIN!r} for the rule {rule!r}")
        rows += _rule_rows(arms, own, plain[0], found, level)
    return pd.DataFrame(rows).assign(attribute=attribute, task=task)


def _rule_rows(
    arms: Sequence[Arm], own: list[int], plain: int, found: Measured, level: float
) -> list[dict]:
    competing = [a for a, k in enumerate(own) if arms[k].remedy not in (OTHER_SEEDS, BEST_SEED)]
    front = np.full(len(own), np.nan)
    front[competing] = on_front(*_front_axes(found, [own[a] for a in competing]))
    rows = []
    for m, metric in enumerate(MEASURED):
        change = found.value[own, :, m] - found.value[plain, :, m]
        luck = _luck_of_seeds(arms, own, found, m)
        moved = found.draws[own, :, m] + luck - (found.draws[plain, :, m] + luck[own.index(plain)])
        family = np.repeat([k != plain for k in own], change.shape[1])
        tested = np.where(family, change.reshape(-1), np.nan)
        low, high, p = simultaneous(tested, moved.reshape(tested.size, -1), level)
        size = int(np.isfinite(p).sum())
        for place, (a, g) in enumerate(np.ndindex(change.shape)):
            arm = arms[own[a]]
            rows.append(
                {
                    "rule": arm.rule,
                    "remedy": arm.remedy,
                    "group": found.groups[g],
                    "metric": metric,
                    "plain": found.value[plain, g, m],
                    "value": found.value[own[a], g, m],
                    "change": tested[place],
                    "low": low[place],
                    "high": high[place],
                    "p_adjusted": p[place],
                    "family_size": size,
                    "front": front[a],
                    **dict(zip(("n", "n_pos", "n_patients"), found.counts[g], strict=True)),
                    "status": found.status[own[a], g, m],
                }
            )
    return rows


def _luck_of_seeds(arms: Sequence[Arm], own: list[int], found: Measured, m: int) -> np.ndarray:
    """Return normal draws ``[arms, groups, draws]`` of the variation of trained arms between seeds.

    Their standard deviation is that of single plain seeds, divided by the root of the arm's number
    of seeds. A remedy after training uses the plain runs themselves, so it shares their luck.
    """
    runs = [found.by_seed[k][:, m].T for k in own if arms[k].remedy in (PLAIN, OTHER_SEEDS)]
    degrees = sum(len(run) - 1 for run in runs)
    squares = np.array([((run - run.mean(axis=0)) ** 2).sum(axis=0) for run in runs]).sum(axis=0)
    spread = np.sqrt(squares / max(degrees, 1))[:, None]
    draws = found.draws.shape[-1]
    luck = []
    for k in own:
        shared = PLAIN if arms[k].after_training else arms[k].remedy
        normal = generator("luck of seeds", shared, m).standard_normal((len(spread), draws))
        luck.append(normal * spread / np.sqrt(len(arms[k].score)))
    return np.stack(luck)


def on_front(overall: np.ndarray, worst: np.ndarray) -> np.ndarray:
    """Return the share of draws in which no other arm is better in one axis and as good in both.

    Parameters
    ----------
    overall, worst : numpy.ndarray
        ``[arms, draws]``; larger is better.

    Returns
    -------
    numpy.ndarray
        ``[arms]``, of the draws in which all arms are defined; NaN if there is none.
    """
    whole = np.isfinite(overall).all(axis=0) & np.isfinite(worst).all(axis=0)
    if not whole.any():
        return np.full(len(overall), np.nan)
    beaten = np.zeros((len(overall), int(whole.sum())), bool)
    axes = overall[:, whole], worst[:, whole]
    for k in range(len(overall)):
        at_least = np.logical_and(*(axis >= axis[k] for axis in axes))
        better = np.logical_or(*(axis > axis[k] for axis in axes))
        beaten[k] = (at_least & better).any(axis=0)
    return (~beaten).mean(axis=1)


def _front_axes(found: Measured, own: list[int]) -> tuple[np.ndarray, np.ndarray]:
    places = (found.groups.index("all"), found.groups.index(WORST))
    auc = MEASURED.index("auc")
    return found.draws[own, places[0], auc], found.draws[own, places[1], auc]
