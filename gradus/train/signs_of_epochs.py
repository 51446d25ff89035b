"""What the history of a training says is wrong, epoch by epoch: batch statistics that disagree, overfitting, a plateau."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from statistics import mean, median

from gradus.train.signs import (
    Evidence,
    Sign,
    find_faded_gradients,
    find_idle_layers,
    find_moving_frozen,
    find_not_finite,
    find_rate_too_high,
    find_rate_too_low,
    find_spikes,
    find_starved,
    find_unit_troubles,
)

DISAGREE = 2.0  # the loss with running statistics is so many times that with the batch's,
DISAGREE_SHARE = 0.3  # and above it by this share of the loss of chance
SETTLED = 100  # steps after which running statistics have followed: with momentum 0.1, 0.9^100 of the start is left
EPOCHS_ON = 5  # after the best epoch, before overfitting is told; in long trainings a fifth of the epochs
BEYOND_NOISE = 3.0  # median changes from epoch to epoch
STILL = 10  # epochs without progress, or a third of them
LEARNT = 0.05  # a training loss below this share of chance needs no progress


def find_disagreeing_statistics(evidence: Evidence) -> list[Sign]:
    """The loss of the same rows, by running statistics and by those of the batch, at the last two probes."""
    seen = [p for p in evidence.probes if p.get("loss_batch_statistics") is not None and p["update"] >= SETTLED]
    chance = evidence.chance or 0.0
    bad = [
        one["loss_evaluation"]
        > max(DISAGREE * one["loss_batch_statistics"], one["loss_batch_statistics"] + DISAGREE_SHARE * chance)
        for one in seen[-2:]
    ]
    if len(bad) < 2 or not all(bad) or chance <= 0:
        return []
    last = seen[-1]
    return [
        Sign(
            kind="statistics-differ",
            told=f"the same rows have a loss of {last['loss_evaluation']:.3g} with the running statistics of batch "
            f"normalisation and of {last['loss_batch_statistics']:.3g} with those of their batch",
            epoch=last["epoch"],
            where="batch normalisation",
            value=last["loss_evaluation"],
            usual="about the same",
            strength=0.7,
            settings=(*evidence.rate_times(0.3), "take larger batches, or GroupNorm in place of batch normalisation"),
        )
    ]


def overfitting_from(evidence: Evidence) -> list[Sign]:
    """The validation loss rises, beyond its noise, while the training loss still falls: since which epoch."""
    records = [r for r in evidence.history if r.get("validation_loss") is not None]
    if len(records) < EPOCHS_ON + 1:
        return []
    losses = [record["validation_loss"] for record in records]
    best = losses.index(min(losses))
    after = losses[best + 1 :]
    if len(after) < max(EPOCHS_ON, len(losses) // 5):
        return []
    noise = median(abs(b - a) for a, b in pairwise(losses))
    rising = after[-3:]
    fell = records[-1]["train_loss"] < records[best]["train_loss"]
    if not fell or min(rising) <= losses[best] + BEYOND_NOISE * noise * 0.5 or losses[-1] <= 1.05 * losses[best]:
        return []
    epoch = records[best]["epoch"]
    learnt = f"{records[best]['train_loss']:.3g} to {records[-1]['train_loss']:.3g}"
    return [
        Sign(
            kind="variance",
            told=f"overfitting from epoch {epoch + 1} on: since epoch {epoch} the validation loss has risen from "
            f"{losses[best]:.3g} to {losses[-1]:.3g} while the training loss fell from {learnt}",
            epoch=records[-1]["epoch"],
            where=f"from epoch {epoch + 1} on",
            value=float(epoch + 1),
            usual="both fall",
            strength=0.4,
            settings=("train.patience=3", f"train.epochs={epoch}"),
        )
    ]


def find_plateau(evidence: Evidence) -> list[Sign]:
    """Many epochs in which the training loss, not yet small, hardly changed."""
    losses = [record["train_loss"] for record in evidence.history]
    count = max(STILL, len(losses) // 3)
    chance = evidence.chance
    if len(losses) < count + 2 or chance is None or chance <= 0:
        return []
    recent = losses[-count:]
    early, late = mean(recent[: count // 2]), mean(recent[count // 2 :])
    if late < LEARNT * chance or early - late > 0.01 * early:
        return []
    return [
        Sign(
            kind="plateau",
            told=f"the training loss has stayed at {late:.3g} for {count} epochs",
            epoch=evidence.history[-1]["epoch"],
            where="the training loss",
            value=late,
            usual="it falls until it is small",
            strength=0.4,
            settings=("train.schedule.name=plateau", *evidence.rate_times(0.3)),
        )
    ]


QUESTIONS: tuple[Callable[[Evidence], list[Sign]], ...] = (
    find_not_finite,
    find_rate_too_high,
    find_rate_too_low,
    find_idle_layers,
    find_moving_frozen,
    find_unit_troubles,
    find_faded_gradients,
    find_spikes,
    find_starved,
    find_disagreeing_statistics,
    overfitting_from,
    find_plateau,
)


def read_signs(evidence: Evidence) -> list[Sign]:
    """All signs that there are, in the order of the questions. What follows from a learning rate is told as such: units that
    died weigh less and are given the same rate, and a plateau is none."""
    signs = [sign for ask in QUESTIONS for sign in ask(evidence)]
    causes = [sign for sign in signs if sign.kind in ("rate-too-high", "rate-too-low")]
    if not causes:
        return signs
    better = {setting.partition("=")[0]: setting for sign in causes for setting in sign.settings}
    weights = {"dead-units": 0.5, "saturated-units": 0.5, "plateau": 0.0}
    signs = [
        replace(
            sign,
            strength=sign.strength * weights.get(sign.kind, 1.0),
            settings=tuple(better.get(setting.partition("=")[0], setting) for setting in sign.settings),
        )
        for sign in signs
    ]
    return [sign for sign in signs if sign.strength]
