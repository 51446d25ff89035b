"""Training loops written by hand: what a framework has to be compared with. No metrics, no checks, nothing read back.

`data_loader` is what the tutorials show. The two resident loops are the fast way: all rows in memory as one tensor, a
batch is one index-select, convolutions in channels-last.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from clock import Clock
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset
from workload import EPSILON, LEARNING_RATE, RHO, Workload

from gradus.train.devices import keep_freed_memory


def rmsprop(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(model.parameters(), lr=LEARNING_RATE, alpha=RHO, eps=EPSILON)


def to_model(rows: np.ndarray) -> Tensor:
    """What the network takes: uint8 (N, H, W, 1) -> float32 (N, 1, H, W) in 0..1, contiguous; tokens (N, T) as they are."""
    if rows.ndim == 2:
        return torch.from_numpy(rows)
    return torch.from_numpy(rows).permute(0, 3, 1, 2).float().div_(255).contiguous()


def data_loader(workload: Workload, epochs: int, clock: Clock) -> np.ndarray:
    """The default layout and a `DataLoader` in this process (its default; on 2 cores worker processes take from the training)."""
    model = workload.create_model().train()
    optimizer = rmsprop(model)
    dataset = TensorDataset(to_model(workload.train_inputs), torch.from_numpy(workload.train_labels))
    loader = DataLoader(dataset, batch_size=workload.batch_size, shuffle=True)
    clock.start()
    for _ in range(epochs):
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
        clock.lap()
    return predict(model, workload)


def resident_float(workload: Workload, epochs: int, clock: Clock) -> np.ndarray:
    """Rows in memory as float32, ready for the network."""
    rows = to_model(workload.train_inputs).permute(0, 2, 3, 1).contiguous()
    return _resident(workload, epochs, clock, rows, lambda batch: batch.permute(0, 3, 1, 2))


def resident_stored(workload: Workload, epochs: int, clock: Clock) -> np.ndarray:
    """Rows in memory as they are stored: pictures as uint8, each batch brought to 0..1 when it is needed."""
    return _resident(workload, epochs, clock, torch.from_numpy(workload.train_inputs), decode)


def decode(batch: Tensor) -> Tensor:
    """Rows as they are stored -> what the network takes."""
    return batch if batch.ndim == 2 else batch.permute(0, 3, 1, 2).float().div_(255)


def resident_stored_kept(workload: Workload, epochs: int, clock: Clock) -> np.ndarray:
    """The same, and the C library keeps freed memory, as Gradus has it do: what it takes to be as fast by hand."""
    keep_freed_memory()
    return resident_stored(workload, epochs, clock)


def _resident(
    workload: Workload, epochs: int, clock: Clock, rows: Tensor, decode: Callable[[Tensor], Tensor]
) -> np.ndarray:
    """rows: (N, H, W, 1), whose permuted view (N, 1, H, W) is channels-last; or tokens (N, T)."""
    model = workload.create_model().to(memory_format=torch.channels_last).train()
    optimizer = rmsprop(model)
    labels = torch.from_numpy(workload.train_labels)
    clock.start()
    for _ in range(epochs):
        for chosen in torch.randperm(len(rows)).split(workload.batch_size):
            inputs, targets = decode(rows.index_select(0, chosen)), labels.index_select(0, chosen)
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
        clock.lap()
    return predict(model, workload)


@torch.no_grad()
def predict(model: nn.Module, workload: Workload) -> np.ndarray:
    """(N,) the classes of the test rows."""
    model.eval()
    return torch.cat([model(part).argmax(dim=1) for part in to_model(workload.test_inputs).split(500)]).numpy()
