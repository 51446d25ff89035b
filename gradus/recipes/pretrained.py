"""Networks of the table with trained weights, used as they are: what `gradus predict MODEL --weights NAME` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gradus.data.columns import Image, type_to_dict
from gradus.errors import UserError, quoted
from gradus.models import accepted_options, create_model
from gradus.models.preprocessing import Preprocessing
from gradus.models.weights import outputs_of, put_weights
from gradus.recipes.inputs import read_inputs
from gradus.recipes.run import load_run
from gradus.recipes.weights import Weights, load_weights
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import load_task
from gradus.tasks.task import Answer, InputTargetTask

ROWS = 16  # pictures in a pass


class Pretrained:
    """A network of the table with published weights, ready to predict the classes that it was trained on."""

    model: nn.Module
    record: Preprocessing

    def __init__(self, network: str, weights: str = "imagenet") -> None:
        """Raises `UserError` where there are no such weights, or nothing is known of the pictures they expect."""
        self.model, found = create_with_weights(network, weights)
        if found.record is None:
            if Path(found.where).is_dir():
                raise UserError(
                    f"{found.where}: a run knows how it sees its inputs: gradus predict {quoted(found.where)} ..."
                )
            raise UserError(f"{found.where}: {found.notes[-1]}; write it down, or import the file again")
        self.record, self.notes = found.record, found.notes
        record, channels = found.record, len(found.record.mean)
        size = record.resize or record.image_size
        options: dict[str, Any] = {"image_size": size, "fit": record.fit, "channel_order": record.channel_order}
        options |= {"mean": list(record.mean), "deviation": list(record.deviation)}
        options |= {"crop_size": record.image_size} if record.resize else {}
        classes = record.classes or tuple(f"class {index}" for index in range(outputs_of(network, found.tensors) or 0))
        scales = {name: [255 * value for value in getattr(record, name)] for name in ("mean", "deviation")}
        kind = type_to_dict(Image(channels=channels))
        state = {
            "labels": False,
            "fitted": {
                "inputs": {"column": "image", "type": kind, "size": size, **scales},
                "target": {"column": "label", "classes": list(classes)},
            },
        }
        task = load_task(TaskSettings(name="image-classification", options=options), state)
        assert isinstance(task, InputTargetTask)
        self.task = task
        self.task.to_device(torch.device("cpu"))

    def answers(self, inputs: Sequence[Any] | Any) -> tuple[list[str], list[Answer]]:
        """Names and answers for pictures: paths of files or folders, uint8 arrays or Pillow pictures."""
        split = read_inputs(self.task, inputs if isinstance(inputs, list | tuple) else [inputs])
        encoded = self.task.encode(split, with_target=False)
        outputs = []
        with torch.inference_mode():
            for start in range(0, len(split), ROWS):
                rows = {name: tensor[start : start + ROWS] for name, tensor in encoded.items()}
                outputs.append(self.model(self.task.prepare(rows, training=False)[0]))
        return [split.origins[index] for index in range(len(split))], self.task.decode(torch.cat(outputs))

    def predict(self, inputs: Sequence[Any] | Any) -> list[dict[str, Any]]:
        """One dict a picture: input, prediction, certainty, alternatives."""
        names, answers = self.answers(inputs)
        return [{"input": name, **answer.to_json()} for name, answer in zip(names, answers, strict=True)]


def create_with_weights(network: str, given: str, **options: Any) -> tuple[nn.Module, Weights]:
    """A network of the table with trained weights, head and all, in evaluation mode; it has the outputs that these have."""
    found = load_weights(network, given)
    run = Path(found.where)
    if run.is_dir():
        made = load_run(run).recipe.model
        options = {**(made.options if made.name == network else {}), **options}
    elif (outputs := outputs_of(network, found.tensors)) is not None and "num_classes" in accepted_options(network):
        options = {"num_classes": outputs, **options}
    model = create_model(network, **options)
    put_weights(model, found.tensors, found.where, new_head=False)
    return model.eval(), found
