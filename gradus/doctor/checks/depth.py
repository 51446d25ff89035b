"""What becomes of signals and gradients from layer to layer, of real rows, before training and with what was trained."""

from __future__ import annotations

import math
import statistics

from gradus.doctor.case import Case, NotHere
from gradus.doctor.commands import with_option
from gradus.doctor.finding import Finding
from gradus.doctor.probe import BEFORE, Probe, named, probes
from gradus.doctor.scales import LayerScale, layer_scales
from gradus.train.unit_health import UnitHealth, unit_health

ROWS = 64
UNIT_ROWS, LEAST_ROWS = 512, 64
BUDGET = 1e10  # floating-point operations that so many rows may take, about; of larger networks fewer are asked
# Sound networks of up to 100 layers had 4e-4 and 0.02 at the least, twenty sigmoids have 1e-14 and 1e-8 (docs/doctor_network.md)
FADED = 1e-5  # relative gradient of the first layer, as a share of the median one
ALIKE = 1e-4  # deviation of the last layer's outputs over rows, as a share of their size
GROWN = {True: 100.0, False: 1e4}  # size of a layer's outputs over that of the first: before training, and trained
# Share of a layer's units, and how many it must have: where biases outweigh small inputs, half of the units are dead by chance
DEAD, LEAST_UNITS = 0.9, 10
AFTERWARDS = (
    0.6  # strength of what was sound before training: then it is a consequence, of the learning rate for instance
)
SATURATED = 0.9


def find_scales(case: Case) -> list[Finding]:
    """Units that stay alike, and what fades or grows on its way through the network."""
    findings: list[Finding] = []
    for probe in probes(case, ROWS):
        scales = layer_scales(probe)
        if not all(math.isfinite(one.outputs) for one in scales):
            raise NotHere(f"{probe.when} the network gives numbers that are not finite")
        if not scales:
            raise NotHere("the network has no layer with weights that a forward pass calls")
        before = probe.when == BEFORE
        told = [{"layer": one.layer, "outputs": one.outputs, "gradient": one.relative} for one in scales]
        case.measured[f"scales {probe.when}"] = told
        same = _same_units(case, probe, scales)
        findings += same or [*_faded(case, probe, scales), *_grown(case, probe, scales, GROWN[before])]
        if findings:  # what is wrong from the beginning is not told a second time
            break
    return findings


def _same_units(case: Case, probe: Probe, scales: list[LayerScale]) -> list[Finding]:
    alike = [one for one in scales if one.alike]
    hidden = [one for one in alike if one.layer != scales[-1].layer]
    if not hidden:
        return []
    first = hidden[0]
    what = "are all 0" if first.weights == 0 else "are the same for every unit"
    return [
        Finding(
            kind="same-units",
            told=f"{probe.when} the weights of {named(first.layer, probe.model)} {what}, and so are their gradients: its units "
            f"stay copies of one another ({len(alike)} of {len(scales)} layers are so)",
            where=first.layer,
            value=float(len(alike)),
            usual="random weights, so that every unit begins elsewhere",
            strength=1.0,
            command=with_option(case, "initialization", "he", "initialisation"),
            others=("leave the layers as PyTorch draws them, or use nn.init.kaiming_normal_",),
        )
    ]


def _faded(case: Case, probe: Probe, scales: list[LayerScale]) -> list[Finding]:
    learning = [one for one in scales if one.gradient is not None]
    last = scales[-1]
    if len(scales) < 3 or len(learning) < 2 or learning[0].layer != scales[0].layer:
        return []
    largest = max(one.relative for one in learning)
    usual = statistics.median(one.relative for one in learning)  # a head that begins with tiny weights has a huge one
    share = learning[0].relative / usual if usual else 0.0
    if share >= FADED and last.apart >= ALIKE:
        return []
    reached = [one for one in learning if largest and one.relative >= FADED * (usual or largest)]
    stops = learning[learning.index(reached[0]) - 1] if reached and reached[0] is not learning[0] else learning[0]
    told = (
        f"{probe.when} the gradient fades on its way back: at {named(learning[0].layer, probe.model)} it is {share:.1e} of the "
        f"median layer's, relative to the weights"
    )
    if last.apart < ALIKE:
        told += f"; and the outputs of {named(last.layer, probe.model)} differ by {last.apart:.1e} of their size between rows"
    return [
        Finding(
            kind="vanishing",
            told=told,
            where=stops.layer,
            value=share,
            usual=f"above {FADED:g}, and outputs that differ by more than {ALIKE:g}",
            strength=0.85 * _weight(probe),
            command=with_option(case, "activation", "relu", "vanishing-gradients"),
            others=("ReLU in place of sigmoid or tanh, batch normalisation, or shortcuts around the layers",),
        )
    ]


def _grown(case: Case, probe: Probe, scales: list[LayerScale], most: float) -> list[Finding]:
    first, largest = scales[0], max(scales, key=lambda one: one.outputs)
    growth = largest.outputs / max(first.outputs, 1e-30)
    if not most <= growth < math.inf:
        return []
    steps = max(1, scales.index(largest) - scales.index(first))
    return [
        Finding(
            kind="exploding",
            told=f"{probe.when} what passes through the network grows {growth:.3g} times: from {first.outputs:.3g} after "
            f"{named(first.layer, probe.model)} to {largest.outputs:.3g} after {named(largest.layer, probe.model)}, "
            f"{growth ** (1 / steps):.2g} times a layer",
            where=largest.layer,
            value=growth,
            usual=f"about 1, below {most:g}",
            strength=0.9 * _weight(probe),
            command=with_option(case, "initialization", "he", "initialisation"),
            others=("weights of deviation sqrt(2 / inputs of the layer), or batch normalisation between the layers",),
        )
    ]


def _weight(probe: Probe) -> float:
    return 1.0 if probe.when == BEFORE else AFTERWARDS


def find_dead_units(case: Case) -> list[Finding]:
    """Layers most of whose units give 0 for every row, or stand at an end of their range."""
    rows = int(min(UNIT_ROWS, max(LEAST_ROWS, BUDGET / max(case.experiment.operations, 1))))
    for probe in probes(case, rows, training=False):
        health = unit_health(probe.model, probe.inputs)
        if not health:
            raise NotHere("no activation can die or saturate here")
        told = [{"layer": one.after, "dead": one.dead, "saturated": one.saturated} for one in health]
        case.measured[f"units {probe.when}"] = told
        findings = [finding for one in health if (finding := _unit_finding(case, probe, one)) is not None]
        if findings:
            return sorted(findings, key=lambda one: -one.strength)[:1]
    return []


def _unit_finding(case: Case, probe: Probe, one: UnitHealth) -> Finding | None:
    if max(one.dead / DEAD, one.saturated / SATURATED) < 1 or one.units < LEAST_UNITS:
        return None
    dead = one.dead >= DEAD
    share, what = (one.dead, "give 0") if dead else (one.saturated, f"stand at an end of the {one.kind}")
    layer = named(one.after, probe.model) if one.after else "the inputs"
    return Finding(
        kind="dead-units" if dead else "saturated-units",
        told=f"{probe.when} {100 * share:.0f} % of the {one.units} units after {layer} {what} for every one of "
        f"{len(probe.targets)} rows, so no gradient passes them",
        where=one.after,
        value=share,
        usual=f"below {100 * DEAD:.0f} %",
        strength=0.95 * share * _weight(probe),
        command=with_option(case, "initialization", "he", "initialisation"),
        others=("begin with biases of 0, or use nn.LeakyReLU" if dead else "smaller weights, or batch normalisation",),
    )
