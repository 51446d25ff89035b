"""Gathers what a report shows from a run, and has it written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gradus import settings
from gradus.data.columns import type_to_dict
from gradus.errors import UserError, quoted
from gradus.look.report import ReportContent, write_report
from gradus.recipes.making import making_of
from gradus.recipes.writing import writing_of
from gradus.train.folder import RunFolder

if TYPE_CHECKING:
    from gradus.recipes.run import Run


def report_of(run: Run) -> Path:
    """Writes report.html into the run's folder from its files, its data and its best weights; returns the path."""
    evaluation = run.evaluation
    if not evaluation:
        raise UserError(f"{run.path}: this run has not finished; continue with: gradus resume {quoted(run.path)}")
    task = run.task
    split = evaluation["split"]
    recipe = settings.to_dict(run.recipe)
    assessment = run.assess(split)
    content = ReportContent(
        title=f"{run.recipe.model.name} on {run.experiment.dataset.name}",
        task=task.name,
        primary=task.primary,
        split=split,
        assessment=assessment,
        examples=task.shown(run.experiment.dataset[split]),
        target=task.target_column,
        baselines=evaluation["baselines"],
        published=recipe.pop("published", None),
        history=run.history,
        best_epoch=(evaluation.get("best") or {}).get("epoch"),
        data=_describe_data(run),
        model=describe_model(run),
        settings=recipe,
        environment=RunFolder(run.path).read_json("environment.json"),
        timing=evaluation["timing"],
        writing=writing_of(run, split, assessment),
        making=making_of(run, split),
    )
    path = run.path / "report.html"
    write_report(content, path)
    return path


def _describe_data(run: Run) -> dict[str, Any]:
    dataset = run.experiment.dataset
    return {
        "name": dataset.name,
        "about": dataset.about,
        "splits": {name: len(split) for name, split in dataset.splits.items()},
        "columns": [{"name": name, **type_to_dict(kind)} for name, kind in dataset.types.items()],
        "notes": run.experiment.notes,
    }


def describe_model(run: Run) -> dict[str, Any]:
    """name, parameters and layers (name, type, output shape without the batch, parameters) of a run's network."""
    model, task = run.model, run.task
    layers: list[dict[str, Any]] = []

    def hook_for(name: str):
        def hook(module: nn.Module, arguments: Any, output: Any) -> None:
            shape = "x".join(map(str, output.shape[1:])) if isinstance(output, Tensor) else "-"
            own = sum(parameter.numel() for parameter in module.parameters())
            layers.append({"name": name, "type": type(module).__name__, "output": shape, "parameters": own})

        return hook

    leaves = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    handles = [module.register_forward_hook(hook_for(name)) for name, module in leaves]
    try:
        rows = {name: tensor[:1].to(run.plan.device) for name, tensor in run.experiment.tensors["train"].items()}
        with torch.inference_mode():
            model(task.prepare(rows, training=False)[0])
    finally:
        for handle in handles:
            handle.remove()
    total = sum(parameter.numel() for parameter in model.parameters())
    return {"name": run.recipe.model.name, "parameters": total, "layers": layers}
