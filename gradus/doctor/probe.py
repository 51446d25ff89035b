"""What the checks of a network share: some rows as it takes them, a copy to try things on, and its loss."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gradus.doctor.case import Case, NotHere
from gradus.models.auxiliary import main_outputs, total_loss
from gradus.tasks.control import ControlTask
from gradus.tasks.generation import GenerationTask
from gradus.tasks.word_vectors import WordVectorTask
from gradus.train import checkpoint
from gradus.train.folder import RunFolder
from gradus.train.learner import Supervised
from gradus.train.trainer import Trainer

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
BEFORE, AFTER = "before training", "as trained"


@dataclass
class Probe:
    """A copy of a network, and some training rows as it takes them. `when`: `BEFORE` or `AFTER` training."""

    case: Case
    model: nn.Module
    inputs: Any
    targets: Any
    when: str = BEFORE

    def outputs(self, inputs: Any = None) -> Any:
        return main_outputs(self.model(self.inputs if inputs is None else inputs))

    def loss(self, outputs: Any, targets: Any = None) -> Tensor:
        """The loss as validation counts it: without class weights and smoothing."""
        targets = self.targets if targets is None else targets
        return total_loss(self.model, outputs, lambda one: self.case.task.loss(one, targets, training=False))


def probe(case: Case, rows: int, *, trained: bool = False, training: bool = True) -> Probe:
    """`rows` training rows, drawn by the case's seed, and a copy of the network before training, or as it was trained.

    training: the mode of the copy; in training its dropout is off, so that batch normalisation alone makes the difference
    Raises `NotHere` for tasks whose networks are no function from rows to answers.
    """
    refuse_makers(case)
    chosen = case.rows_of("train", rows)
    if not len(chosen):
        raise NotHere("there are no training rows")
    inputs, targets = case.batch("train", chosen)
    model = copy.deepcopy(case.trained.model if trained else case.fresh_model)
    model = case.experiment.plan.place(model)
    for parameter in model.parameters():
        parameter.grad = None
    still(model.train(training))
    return Probe(case, model, inputs, targets, AFTER if trained else BEFORE)


def probes(case: Case, rows: int, *, training: bool = True) -> list[Probe]:
    """The network before training, and as trained where it was."""
    found = [probe(case, rows, training=training)]
    return [*found, probe(case, rows, trained=True, training=training)] if was_trained(case) else found


def was_trained(case: Case) -> bool:
    """Whether there are trained weights: a run that was stopped early may have none."""
    if case.run is None:
        return False
    folder = RunFolder(case.run.path).checkpoints
    return checkpoint.exists(folder, "best") or checkpoint.exists(folder, "last")


def refuse_makers(case: Case) -> None:
    if isinstance(case.task, ControlTask | GenerationTask | WordVectorTask):
        raise NotHere(f"task {case.task.name} does not answer rows one by one")
    if case.task.batch_rows is not None:
        raise NotHere("its rows are read one after the other with a state")
    if hasattr(case.experiment.model, "players"):
        raise NotHere("several players learn from each other")


def still(model: nn.Module) -> None:
    """Turns dropout off, whatever mode the network is in."""
    for module in model.modules():
        if isinstance(module, DROPOUTS):
            module.eval()


@contextmanager
def learning(case: Case, **changed: Any) -> Iterator[tuple[Trainer, Supervised]]:
    """A trainer of a copy and its learner, which learns from answers. `changed`: as `Case.fresh_trainer`."""
    refuse_makers(case)
    trainer = case.fresh_trainer(**changed)
    try:
        if not isinstance(trainer.learner, Supervised):
            raise NotHere(f"task {case.task.name} is not learnt by one loss")
        yield trainer, trainer.learner
    finally:
        trainer.source.close()  # rows that are streamed have processes


def tensor_of(output: Any) -> Tensor | None:
    """The tensor that a module gives, or the first of several."""
    while isinstance(output, tuple | list) and output:
        output = output[0]
    return output if isinstance(output, Tensor) and output.is_floating_point() else None


def part(inputs: Any, rows: slice) -> Any:
    """Some rows of what a network takes: a tensor, or several that begin with the rows."""
    return inputs[rows] if isinstance(inputs, Tensor) else type(inputs)(one[rows] for one in inputs)


def kind_of(module: nn.Module) -> str:
    return type(module).__name__


def named(layer: str, model: nn.Module) -> str:
    """A layer for a sentence: "layers.0 (Linear 784x128)"."""
    module = model.get_submodule(layer)
    weight = getattr(module, "weight", None)
    size = "x".join(map(str, weight.shape)) if isinstance(weight, torch.Tensor) and weight.ndim > 1 else ""
    return f"{layer or 'the network'} ({' '.join(filter(None, [kind_of(module), size]))})"
