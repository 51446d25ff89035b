"""What the vital signs of a training say is wrong: one function a kind, (evidence) -> signs.

The same functions judge while a training runs, with what there is so far, and afterwards, from the whole of vitals.jsonl and
metrics.jsonl, where those of a run without vitals are judged by its history alone. The kinds are those of the doctor. The
thresholds stand where they are used; docs/doctor.md has what healthy and ill trainings measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Sign:
    """One thing that goes wrong.

    told:     a clause with the number that shows it; where: the layer, or what else it is about; epoch: where it shows, from 1
    usual:    the number in a healthy training, in words
    settings: what to change, as KEY=VALUE of a recipe, or a piece of advice where no setting does it; the first is the best
    strength: 0 to 1, how sure and how costly
    """

    kind: str
    told: str
    epoch: int
    where: str = ""
    value: float | None = None
    usual: str = ""
    strength: float = 0.5
    settings: tuple[str, ...] = ()

    def line(self) -> str:
        """The sign as it is told while training."""
        way = ""
        if self.settings:
            way = f"; try --set {self.settings[0]}" if "=" in self.settings[0] else f"; {self.settings[0]}"
        return f"epoch {self.epoch}: {self.told}{way}"


class Evidence:
    """What was seen of a training so far: the records of vitals.jsonl, those of metrics.jsonl, and the rate of the recipe."""

    def __init__(self, records: list[Record], history: list[Record], rate: float | None) -> None:
        self.history, self.rate = history, rate
        kinds = ("start", "probe", "epoch", "spike", "risen", "stopped")
        self.by = {kind: [one for one in records if one["what"] == kind] for kind in kinds}
        self.probes = self.by["probe"]
        start = self.by["start"][0] if self.by["start"] else {}
        self.idle: list[str] = start.get("idle") or []
        self.streamed: bool = start.get("streamed", False)
        self.batch_size: int = start.get("batch_size", 0)
        first = self.probes[0]["loss"] if self.probes else None
        self.chance: float | None = start.get("chance") or first  # what knowing nothing has, or what there was at first
        self.chance_is = "chance has" if start.get("chance") else "it began at"

    def updates(self, of: Callable[[list[float]], float]) -> list[tuple[float, Record]]:
        """Of each probe the median (or else) over the layers with matrices of an update's share of the weights."""
        every = [([one["update"] for one in probe["layers"] if one["matrix"]], probe) for probe in self.probes]
        return [(of(shares), probe) for shares, probe in every if shares]

    def better_rate(self, share: float) -> tuple[str, ...]:
        """The rate at which an update of this share would be a usual one, to a power of ten of the present one."""
        return self.rate_times(10.0 ** round(math.log10(USUAL_UPDATE / share)))

    def rate_times(self, factor: float) -> tuple[str, ...]:
        rate = self.rate if self.rate is not None else (self.probes[0]["rate"] if self.probes else None)
        return () if rate is None else (f"{RATE}={rate * factor:.3g}",)


RATE = "train.optimizer.learning_rate"
LARGE_UPDATE = 0.3  # of the weights in one step, in the median layer
DIED = 0.5  # share of the units of a layer that were alive and give 0 for every row,
LARGE_UPDATE_OF_THE_DEAD = 0.05  # where a step changed the weights by so much
USUAL_UPDATE = 0.01  # in the first steps
TINY_UPDATE = 1e-4  # of the weights in one step, in the layer that changes most,
SHORT_WAY = 0.03  # and so much in all steps so far, were they all in one direction
FEW_UPDATES = 50  # before which nothing is said of a low rate
NOT_LEARNT = 0.9  # a training loss above this share of chance: next to nothing was learnt
SLOW = 0.7  # a training loss above this share of chance: little was learnt
DEAD = 0.6  # share of the units of a layer
SATURATED = 0.9
FADED = 1e-6  # share of the largest gradient of a layer that the first layer has
WAITING = 0.3  # share of the time
LEAST_SECONDS = 1.0  # of training, before waiting is judged
WORKERS = 4  # that decode, as advice


def find_not_finite(evidence: Evidence) -> list[Sign]:
    """A value was not finite, and the training stopped there."""
    return [
        Sign(
            kind="not-finite",
            told=f"a value was not a finite number in {one['where']}, at step {one['step']} of epoch {one['epoch']}",
            epoch=one["epoch"],
            where=one["where"],
            usual="none",
            strength=1.0,
            settings=()
            if one["where"].startswith(("the inputs", "the targets"))
            else (*evidence.rate_times(0.1), "train.regularization.clip_norm=1"),
        )
        for one in evidence.by["stopped"][-1:]
    ]


def find_rate_too_high(evidence: Evidence) -> list[Sign]:
    """Steps that change the weights by as much as they are while nothing is learnt, or a loss that stays above its beginning."""
    last = evidence.history[-1] if evidence.history else None
    loss, chance = last["train_loss"] if last else None, evidence.chance
    ill = chance is not None and chance > 0 and loss is not None and loss > NOT_LEARNT * chance
    risen = [] if loss is not None and not ill else evidence.by["risen"][-1:]
    share, at = max(evidence.updates(median), key=lambda one: one[0], default=(0.0, None))
    common: Record = {"kind": "rate-too-high", "where": RATE}
    outcome = f"and the training loss is {loss:.3g} where {evidence.chance_is} {chance:.3g}" if ill else ""
    if at is not None and share > LARGE_UPDATE and (ill or risen or evidence.by["stopped"]):
        told = f"step {at['update']} changed the weights by {share:.2g} times their size in the median layer"
        return [
            Sign(
                told=f"{told}, {outcome}" if outcome else told,
                epoch=last["epoch"] if last else at["epoch"],
                value=share,
                usual="0.0001 to 0.05 times",
                strength=0.95,
                settings=evidence.better_rate(share),
                **common,
            )
        ]
    died = share_that_died(evidence)
    if at is not None and ill and died > DIED and share > LARGE_UPDATE_OF_THE_DEAD and last:
        told = f"{died:.0%} of the units of a layer have died since the first step, {outcome}"
        epoch, way = last["epoch"], evidence.better_rate(share)
        return [Sign(told=told, epoch=epoch, value=died, usual="below 40 %", strength=0.9, settings=way, **common)]
    if risen:
        one = risen[0]
        told = f"the training loss has risen from {one['before']:.3g} to {one['after']:.3g} and stays there"
        common |= {"epoch": one["epoch"], "settings": evidence.rate_times(0.1)}
        return [Sign(told=told, value=one["after"], usual="it falls", strength=0.8, **common)]
    return []


def find_rate_too_low(evidence: Evidence) -> list[Sign]:
    """Steps that hardly change the weights, even all of them together, while little is learnt."""
    history, chance = evidence.history, evidence.chance
    full = [one for one in evidence.updates(max) if evidence.rate is None or one[1]["rate"] >= 0.5 * evidence.rate]
    if not full or not history or not chance or chance <= 0 or history[-1]["train_loss"] < SLOW * chance:
        return []
    share, steps, loss = max(share for share, _ in full), history[-1]["step"], history[-1]["train_loss"]
    if not 0 < share < TINY_UPDATE or share * steps > SHORT_WAY or steps < FEW_UPDATES:
        return []
    return [
        Sign(
            kind="rate-too-low",
            told=f"no step changed the weights of any layer by more than {share:.1e} of their size, all {steps} together by "
            f"{share * steps:.2%} at most: the training loss is {loss:.3g} where {evidence.chance_is} {chance:.3g}",
            epoch=history[-1]["epoch"],
            where=RATE,
            value=share,
            usual="0.0001 to 0.05 a step",
            strength=0.95,
            settings=evidence.better_rate(share),
        )
    ]


def find_idle_layers(evidence: Evidence) -> list[Sign]:
    """Layers that do not learn though they should: not asked to, not reached by a gradient, or given one that is always 0."""
    common: Record = {"kind": "idle-layer", "usual": "every layer that is not frozen on purpose changes"}
    signs = [
        Sign(
            told=f"layer {layer} does not learn: its parameters have requires_grad False, though no setting freezes it",
            epoch=1,
            where=layer,
            strength=0.9,
            settings=(f"set requires_grad to True for the parameters of {layer}, or name it in freeze",),
            **common,
        )
        for layer in evidence.idle
    ]
    probes = [probe for probe in evidence.probes if any("gradient" in one for one in probe["layers"])]
    if len(probes) < 2:
        return signs
    seen: dict[str, list[float | None]] = {}
    for probe in probes:
        for one in probe["layers"]:
            if "gradient" in one:
                seen.setdefault(one["layer"], []).append(one["gradient"])
    begins_at_0 = any(one["weight"] == 0 and one["matrix"] for one in probes[0]["layers"])
    dead = any(unit["dead"] >= 0.95 for probe in probes for unit in probe.get("units", []))
    for layer, gradients in seen.items():
        unreached = None in gradients
        # what is not reached is so by every batch, while a few rows may well have nothing to say to a layer
        if len(gradients) < (2 if unreached else 3) or any(gradients) or (not unreached and (dead or begins_at_0)):
            continue
        why = "no gradient reaches it" if unreached else "its gradient is exactly 0"
        told = f"layer {layer or 'of the model itself'} does not learn: {why} at each of the {len(gradients)} steps looked at"
        way = (f"see whether forward uses {layer}, and whether detach, no_grad or argmax stands behind it",)
        signs.append(
            Sign(told=told, epoch=probes[-1]["epoch"], where=layer, value=0.0, strength=0.9, settings=way, **common)
        )
    return signs


def find_moving_frozen(evidence: Evidence) -> list[Sign]:
    """Frozen parameters, or statistics within frozen modules, that are not what they were."""
    names = sorted({name for probe in evidence.probes for name in probe.get("moved", [])})
    if not names:
        return []
    others = f" (as do {len(names) - 1} others)" if len(names) > 1 else ""
    return [
        Sign(
            kind="moving-frozen",
            told=f"{names[0]} is frozen, and yet it changes{others}",
            epoch=evidence.probes[-1]["epoch"],
            where=names[0],
            value=float(len(names)),
            usual="frozen parts keep every bit",
            strength=0.9,
            settings=("see whether forward writes to it, or calls train() on a part of the network",),
        )
    ]


Unit = tuple[str, str, str]  # layer, kind, after


def _units(probe: Record) -> dict[Unit, Record]:
    return {(unit["layer"], unit["kind"], unit["after"]): unit for unit in probe.get("units", [])}


def find_unit_troubles(evidence: Evidence) -> list[Sign]:
    """Layers most of whose units give 0 for every row, or stand at the ends of their range: at each of the last two probes."""
    probes = [probe for probe in evidence.probes if probe.get("units")]
    if len(probes) < 2:
        return []
    first, before, now = _units(probes[0]), _units(probes[-2]), _units(probes[-1])
    at_0 = {one["layer"] for one in probes[-1]["layers"] if one["weight"] == 0}
    dead: list[tuple[str, float, Record]] = []
    saturated: list[tuple[str, float, Record]] = []
    for key, unit in now.items():
        place = unit["after"] or unit["layer"]
        lasting = {part: min(unit[part], before.get(key, unit)[part]) for part in ("dead", "saturated")}
        if lasting["dead"] >= DEAD and place not in at_0:
            dead.append((place, lasting["dead"], first.get(key, unit)))
        elif lasting["saturated"] >= SATURATED and unit["kind"] in ("sigmoid", "tanh"):
            saturated.append((place, lasting["saturated"], unit))
    return [*_of_dead(dead, evidence), *_of_saturated(saturated, evidence)]


def _of_dead(found: list[tuple[str, float, Record]], evidence: Evidence) -> list[Sign]:
    """One sign for all layers: the first one is named."""
    if not found:
        return []
    place, share, first = found[0]
    died = first["dead"] < DEAD
    since = f", {first['dead']:.0%} after the first step" if died else ""
    others = f" (as in {len(found) - 1} more layers)" if len(found) > 1 else ""
    way = f"begin {place} with other biases, or put an activation after it that has no flat side"
    return [
        Sign(
            kind="dead-units",
            told=f"{share:.0%} of the {first['units']} units of layer {place} give 0 for every row{since}{others}",
            epoch=evidence.probes[-1]["epoch"],
            where=place,
            value=share,
            usual="below 40 %",
            strength=share,
            settings=(*evidence.rate_times(0.1), way) if died else (way,),
        )
    ]


def _of_saturated(found: list[tuple[str, float, Record]], evidence: Evidence) -> list[Sign]:
    if not found:
        return []
    place, share, unit = found[0]
    others = f" (as in {len(found) - 1} more layers)" if len(found) > 1 else ""
    return [
        Sign(
            kind="saturated-units",
            told=f"{share:.0%} of the {unit['units']} units of layer {place} stand at an end of {unit['kind']} for all rows"
            f"{others}",
            epoch=evidence.probes[-1]["epoch"],
            where=place,
            value=share,
            usual="below 50 %",
            strength=share,
            settings=evidence.rate_times(0.1),
        )
    ]


def share_that_died(evidence: Evidence) -> float:
    """The largest share of a layer's units that answered after the first step and give 0 for every row at the last probe."""
    probes = [probe for probe in evidence.probes if probe.get("units")]
    if len(probes) < 2:
        return 0.0
    first = _units(probes[0])
    return max(
        (unit["dead"] - first[key]["dead"] for key, unit in _units(probes[-1]).items() if key in first), default=0.0
    )


def find_faded_gradients(evidence: Evidence) -> list[Sign]:
    """A gradient that fades from the last layers to the first, at each probe."""
    faded = []
    for probe in evidence.probes:
        sizes = [one["gradient"] for one in probe["layers"] if one["matrix"] and one.get("gradient")]
        if len(sizes) >= 3:
            faded.append((sizes[0] / max(sizes), probe))
    if len(faded) < 2 or max(share for share, _ in faded) > FADED:
        return []
    share, probe = faded[-1]
    first = next(one for one in probe["layers"] if one["matrix"] and one.get("gradient"))
    return [
        Sign(
            kind="vanishing",
            told=f"the gradient of {first['layer']}, the first layer, is {share:.1e} of the largest one",
            epoch=probe["epoch"],
            where=first["layer"],
            value=share,
            usual="above 0.0001",
            strength=0.8,
            settings=("use ReLU, normalisation layers or residual connections in place of a deep stack of sigmoids",),
        )
    ]


def find_spikes(evidence: Evidence) -> list[Sign]:
    """Jumps of the loss that last for several steps."""
    spikes = evidence.by["spike"]
    if not spikes:
        return []
    one = max(spikes, key=lambda spike: spike["after"] / spike["before"])
    times = f" ({len(spikes)} such jumps)" if len(spikes) > 1 else ""
    return [
        Sign(
            kind="spikes",
            told=f"the training loss jumped from {one['before']:.3g} to {one['after']:.3g} by step {one['step']} of epoch "
            f"{one['epoch']}{times}",
            epoch=spikes[-1]["epoch"],
            where="the loss",
            value=one["after"],
            usual="it falls, but for noise",
            strength=min(0.9, 0.5 + 0.1 * len(spikes)),
            settings=("train.regularization.clip_norm=1", *evidence.rate_times(0.3)),
        )
    ]


def find_starved(evidence: Evidence) -> list[Sign]:
    """Much of the time goes by waiting for batches."""
    epochs = [one for one in evidence.by["epoch"] if one.get("seconds")]
    seconds, waited = sum(one["seconds"] for one in epochs), sum(one["waited"] for one in epochs)
    if seconds < LEAST_SECONDS or waited < WAITING * seconds:
        return []
    return [
        Sign(
            kind="starved",
            told=f"{waited / seconds:.0%} of the training time is waiting for batches ({waited:.3g} of {seconds:.3g} seconds)",
            epoch=epochs[-1]["epoch"],
            where="the batches",
            value=waited / seconds,
            usual="below 10 %",
            strength=min(1.0, waited / seconds),
            settings=_faster_data(evidence),
        )
    ]


def _faster_data(evidence: Evidence) -> tuple[str, ...]:
    words = "see what else this machine does, and how batches are made"
    if evidence.streamed:
        return "data.stream=never", f"data.workers={WORKERS}", words
    return (f"train.batch_size={2 * evidence.batch_size}", words) if evidence.batch_size else (words,)
