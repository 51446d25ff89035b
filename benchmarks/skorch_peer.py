"""skorch as its documentation trains a classifier: NumPy arrays in, its default callbacks, nothing printed, no rows held out."""

from __future__ import annotations

import numpy as np
import torch
from bare_loops import to_model
from clock import Clock
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from torch import nn
from workload import EPSILON, LEARNING_RATE, RHO, Workload


class LapEachEpoch(Callback):
    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_epoch_end(self, net: NeuralNetClassifier, **kwargs: object) -> None:
        self.clock.lap()


def documented(workload: Workload, epochs: int, clock: Clock) -> np.ndarray:
    net = NeuralNetClassifier(
        workload.create_model(),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.RMSprop,
        lr=LEARNING_RATE,
        optimizer__alpha=RHO,
        optimizer__eps=EPSILON,
        batch_size=workload.batch_size,
        iterator_train__shuffle=True,
        max_epochs=epochs,
        train_split=None,
        verbose=0,
        callbacks=[("lap", LapEachEpoch(clock))],
    )
    inputs = to_model(workload.train_inputs).numpy()
    clock.start()
    net.fit(inputs, workload.train_labels)
    return net.predict(to_model(workload.test_inputs).numpy())
