"""Networks with parts that are solved from features and not descended to: they have `finish(batches)`, called once with the best
weights when the last epoch is over, and the whole is kept as the best checkpoint.

A run that is killed before that is kept does it again when it is resumed: whether it is done stands in the checkpoint's state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gradus.recipes.run import FINISHED, Run
from gradus.train import checkpoint
from gradus.train.checkpoint import Checkpoint
from gradus.train.folder import RunFolder
from gradus.train.source import evaluation_rows, in_order
from gradus.train.stream import readable


def finish_model(run: Run, folder: RunFolder) -> str:
    """Has the run's network finish itself on the training rows; returns what it says, empty where there was nothing to do."""
    finish: Callable[[Any], str] | None = getattr(run.model, "finish", None)
    if finish is None:
        return ""
    name = "best" if checkpoint.exists(folder.checkpoints, "best") else "last"
    state = checkpoint.load(folder.checkpoints, name).state
    if name == "best" and state.get(FINISHED):
        return ""
    said = finish(_batches(run))
    run.task.use_record({})  # what was measured before is not that of this network
    weights = {key: tensor.detach().cpu() for key, tensor in run.model.state_dict().items()}
    kept: dict[str, Any] = {key: state[key] for key in ("epoch", "value", "loss") if key in state}
    checkpoint.save(folder.checkpoints, "best", Checkpoint(weights, None, {**kept, FINISHED: True}))
    return said


def _batches(run: Run) -> Iterator[tuple[Any, Any]]:
    """Inputs and targets of the training rows as the network takes them, not augmented."""
    tensors = run.experiment.tensors["train"]
    with readable(tensors, max(0, run.recipe.data.workers), run.plan.device) as rows:
        for batch in in_order(rows, min(8, evaluation_rows(rows, run.recipe.train.batch_size))):
            on_device = {name: tensor.to(run.plan.device) for name, tensor in batch.items()}
            yield run.task.prepare(on_device, training=False)
