"""Keras 3 as its documentation trains a classifier. worker.py sets KERAS_BACKEND before this file is imported.

The networks are those of gradus/models, layer by layer, with Keras' own initial weights. Its RMSprop divides by
sqrt(mean + epsilon), PyTorch's by sqrt(mean) + epsilon; the work is the same.
"""

from __future__ import annotations

import keras
import numpy as np
from clock import Clock
from keras import layers
from workload import EPSILON, LEARNING_RATE, RHO, WORDS, Workload


class LapEachEpoch(keras.callbacks.Callback):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.clock.lap()


def documented(workload: Workload, epochs: int, clock: Clock) -> np.ndarray:
    """`fit` on arrays, pictures as (N, H, W, 1)."""
    return _fit(workload, epochs, clock, lambda images: images)


def channels_first(workload: Workload, epochs: int, clock: Clock) -> np.ndarray:
    """Pictures as (N, 1, H, W), PyTorch's own order: spares Keras the transposes around each torch convolution."""
    keras.config.set_image_data_format("channels_first")
    return _fit(workload, epochs, clock, lambda images: images.transpose(0, 3, 1, 2).copy())


def many_steps_a_call(workload: Workload, epochs: int, clock: Clock) -> np.ndarray:
    """16 steps in each compiled call."""
    return _fit(workload, epochs, clock, lambda images: images, steps_per_execution=16)


def create_model(workload: Workload, shape: tuple[int, ...]) -> keras.Model:
    hidden: dict[str, list] = {
        "tiny": [layers.Flatten()],
        "mlp": [layers.Flatten(), layers.Dense(512, activation="relu")],
        "convnet": [
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
        ],
        "lstm": [layers.Embedding(WORDS, 32), layers.LSTM(32)],  # one bias a gate, where torch has two
    }
    kind = "int32" if workload.is_text else "float32"
    return keras.Sequential(
        [keras.Input(shape, dtype=kind), *hidden[workload.name], layers.Dense(workload.num_classes)]
    )


def _fit(workload: Workload, epochs: int, clock: Clock, arrange, **compiling: int) -> np.ndarray:
    keras.utils.set_random_seed(0)
    train, test = workload.train_inputs, workload.test_inputs
    if not workload.is_text:
        train, test = (arrange(pictures.astype("float32") / 255) for pictures in (train, test))
    model = create_model(workload, train.shape[1:])
    model.compile(
        optimizer=keras.optimizers.RMSprop(learning_rate=LEARNING_RATE, rho=RHO, epsilon=EPSILON),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        **compiling,
    )
    clock.start()
    model.fit(
        train,
        workload.train_labels,
        batch_size=workload.batch_size,
        epochs=epochs,
        verbose=0,
        callbacks=[LapEachEpoch(clock)],
    )
    return model.predict(test, batch_size=500, verbose=0).argmax(axis=1)
