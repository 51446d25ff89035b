"""Lightning as its documentation trains a classifier, with what costs time and is not asked for turned off."""

from __future__ import annotations

import logging
import warnings

import lightning
import numpy as np
import torch
from bare_loops import predict, rmsprop, to_model
from clock import Clock
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset
from workload import Workload


class Classifier(lightning.LightningModule):
    """It logs nothing: a loss that is logged in every step costs Lightning more."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        inputs, targets = batch
        return cross_entropy(self.model(inputs), targets)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return rmsprop(self.model)


class LapEachEpoch(lightning.Callback):
    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.clock.lap()


class ResidentBatches:
    """Batches by one index-select, in place of a DataLoader; Lightning takes any iterable with a length."""

    def __init__(self, inputs: Tensor, targets: Tensor, batch_size: int) -> None:
        self.inputs, self.targets, self.batch_size = inputs, targets, batch_size

    def __len__(self) -> int:
        return -(-len(self.targets) // self.batch_size)

    def __iter__(self):
        for chosen in torch.randperm(len(self.targets)).split(self.batch_size):
            yield self.inputs.index_select(0, chosen), self.targets.index_select(0, chosen)


def documented(workload: Workload, epochs: int, clock: Clock) -> np.ndarray:
    """A DataLoader over a TensorDataset."""
    dataset = TensorDataset(to_model(workload.train_inputs), torch.from_numpy(workload.train_labels))
    loader = DataLoader(dataset, batch_size=workload.batch_size, shuffle=True)
    return _fit(workload, epochs, clock, Classifier(workload.create_model()), loader)


def tuned(workload: Workload, epochs: int, clock: Clock) -> np.ndarray:
    """Our own two tricks given to Lightning: resident tensors and channels-last."""
    model = Classifier(workload.create_model().to(memory_format=torch.channels_last))
    batches = ResidentBatches(
        to_model(workload.train_inputs), torch.from_numpy(workload.train_labels), workload.batch_size
    )
    return _fit(workload, epochs, clock, model, batches)


def _fit(
    workload: Workload, epochs: int, clock: Clock, model: Classifier, batches: DataLoader | ResidentBatches
) -> np.ndarray:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")  # advice to use more worker processes
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[LapEachEpoch(clock)],
    )
    clock.start()
    trainer.fit(model, batches)
    return predict(model.model, workload)
