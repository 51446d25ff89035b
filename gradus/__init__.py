"""Gradus: deep learning from principle to practice.

    import gradus
    data  = gradus.load_data("mnist")                        # or a path
    model = gradus.create_model("lenet5", num_classes=10)    # or any torch.nn.Module
    run   = gradus.fit(model, data, epochs=5)
    run.evaluate("test"); run.predict(["seven.png"]); run.report()

The names below are imported when first used, so that the command line starts at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gradus.errors import UserError

if TYPE_CHECKING:
    from gradus.data.load import load_data
    from gradus.look.network.summary import summarize
    from gradus.models import create_model
    from gradus.recipes.ensemble import ensemble, load_ensemble
    from gradus.recipes.execute import fit, resume, train_recipe
    from gradus.recipes.lr_range import lr_range_test
    from gradus.recipes.run import Run, load_run
    from gradus.recipes.search import resume_search, search

__version__ = "0.1.0"
__all__ = [
    "Run",
    "UserError",
    "create_model",
    "ensemble",
    "fit",
    "load_data",
    "load_ensemble",
    "load_run",
    "lr_range_test",
    "resume",
    "resume_search",
    "search",
    "summarize",
    "train_recipe",
]

_HOMES = {
    "load_data": "gradus.data.load",
    "create_model": "gradus.models",
    "fit": "gradus.recipes.execute",
    "train_recipe": "gradus.recipes.execute",
    "resume": "gradus.recipes.execute",
    "Run": "gradus.recipes.run",
    "load_run": "gradus.recipes.run",
    "search": "gradus.recipes.search",
    "resume_search": "gradus.recipes.search",
    "lr_range_test": "gradus.recipes.lr_range",
    "summarize": "gradus.look.network.summary",
    "ensemble": "gradus.recipes.ensemble",
    "load_ensemble": "gradus.recipes.ensemble",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gradus' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
