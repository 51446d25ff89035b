"""Does Gradus compute what a loop written by hand computes? Losses of the same steps, compared bit by bit.

Both begin with the same weights (drawn from the seed by `randomness.derive`) and take the rows in the same order
(`Resident.order`). Everything else is written out here once more: batch, loss, update.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from bare_loops import decode, rmsprop
from gradus_entry import trainer_for
from torch import Tensor
from torch.nn.functional import cross_entropy
from workload import SEED, Workload

from gradus.train.randomness import ORDER, derive


@dataclass(frozen=True)
class Equality:
    """first: the first step (from 0) whose losses differ, or None; weights: whether the final weights are equal bit by bit"""

    workload: str
    steps: int
    first: int | None
    weights: bool

    def describe(self) -> str:
        losses = "yes" if self.first is None else f"no, first difference at step {self.first}"
        weights = "yes" if self.weights else "no"
        return f"{self.workload}: losses of {self.steps} steps bit-equal: {losses}; weights after them: {weights}"


def compare(workload: Workload, least_steps: int = 200) -> Equality:
    """Trains whole epochs, so many that there are at least `least_steps` steps."""
    epochs = -(-least_steps // workload.steps)
    ours, our_weights = gradus_losses(workload, epochs)
    theirs, their_weights = bare_losses(workload, epochs)
    different = (ours != theirs).nonzero().flatten().tolist() if len(ours) == len(theirs) else [0]
    equal = all(torch.equal(mine, other) for mine, other in zip(our_weights, their_weights, strict=True))
    return Equality(workload.name, len(theirs), different[0] if different else None, equal)


def gradus_losses(workload: Workload, epochs: int) -> tuple[Tensor, list[Tensor]]:
    """(steps,) the mean loss of each step, read by a wrapper around `learner.step`; and the weights."""
    trainer = trainer_for(workload, epochs)
    losses: list[Tensor] = []
    step = trainer.learner.step

    def watched_step(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        found = step(batch)
        losses.append(found["loss"])
        return found

    trainer.learner.step = watched_step  # type: ignore[method-assign]
    trainer.fit()
    return torch.stack(losses), list(trainer.learner.model.parameters())


def bare_losses(workload: Workload, epochs: int) -> tuple[Tensor, list[Tensor]]:
    """The same by hand."""
    model = workload.create_model().to(memory_format=torch.channels_last).train()  # same draws from the same seed
    optimizer = rmsprop(model)
    rows, labels = torch.from_numpy(workload.train_inputs), torch.from_numpy(workload.train_labels)
    losses: list[Tensor] = []
    for epoch in range(epochs):
        # The order of an epoch follows from (seed, epoch) alone: this is Resident.order.
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(derive(SEED, ORDER, epoch)))
        for chosen in order.split(workload.batch_size):
            inputs = decode(rows.index_select(0, chosen))
            targets = labels.index_select(0, chosen)
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
    return torch.stack(losses), list(model.parameters())
