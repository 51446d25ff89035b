"""Augmentation side by side: pictures a second of one core's time, in one run.

    .peers/bin/python benchmarks/augment.py [--pictures 512] [--rounds 5] [--only gradus,pillow] [--json FILE]

Two pieces of work, on random uint8 pictures, to float32 pictures in levels:

    warp   150x150, batches of 64: rotation 40 degrees, shifts and zoom 0.2, shear 0.2 radians, flip, brightness 0.2, the edge
           repeated outside
    pad    32x32, batches of 128: 4 pixels of padding, a crop of 32x32, flip

Each contestant is a process of its own, bound to one core; they take turns, round by round, and the first round is not counted.
Counted is the processor's time, so that other work on the machine disturbs less.

`pillow` and `torch-each` make the calls that torchvision's transforms make of one Pillow picture and of one tensor, in the least
loop that can be written. Keras's layers resample once for each of their changes. Before anything is timed, `gradus`, `scipy`,
`pillow`, `torch-each` and Keras's ImageDataGenerator get the same parameters, and the differences of their pictures are printed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

WORKS = {"warp": (150, 64), "pad": (32, 128)}  # side of the pictures, rows of a batch
CONTESTANTS = {
    "gradus": "Gradus",
    "torch-each": "PyTorch, picture by picture (as torchvision's transforms of tensors)",
    "pillow": "Pillow, picture by picture (as torchvision's transforms of Pillow pictures)",
    "scipy": "SciPy and NumPy, picture by picture",
    "keras-generator": "Keras ImageDataGenerator (legacy, SciPy)",
    "keras-torch": "Keras layers, in batches, on torch",
    "keras-jax": "Keras layers, in batches, on JAX",
}
Make = Callable[[np.ndarray, str], None]


def draw(side: int) -> dict[str, float]:
    """The parameters of one picture of "warp", from Python's generator."""
    return {
        "angle": random.uniform(-math.radians(40), math.radians(40)),
        "x": round(random.uniform(-0.2, 0.2) * side),
        "y": round(random.uniform(-0.2, 0.2) * side),
        "slant": math.tan(random.uniform(-0.2, 0.2)),
        "wide": random.uniform(0.8, 1.2),
        "high": random.uniform(0.8, 1.2),
        "flip": float(random.random() < 0.5),
        "brightness": random.uniform(0.8, 1.2),
    }


def matrix_of(p: dict[str, float]) -> np.ndarray:
    """(2, 3), new -> source, in pixels from the middle, x first: rotation · shift · shear · zoom · flip."""
    cos, sin = math.cos(p["angle"]), math.sin(p["angle"])
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    shift = np.array([[1, 0, p["x"]], [0, 1, p["y"]], [0, 0, 1]])
    shear = np.array([[1, p["slant"], 0], [0, 1, 0], [0, 0, 1]])
    return (turn @ shift @ shear @ np.diag([p["wide"] * (1 - 2 * p["flip"]), p["high"], 1]))[:2]


def scipy_warp(picture: np.ndarray, p: dict[str, float]) -> np.ndarray:
    from scipy import ndimage

    matrix, middle = matrix_of(p), (np.array(picture.shape[1::-1]) - 1) / 2
    offset = matrix[:, 2] + middle - matrix[:, :2] @ middle
    planes = [
        ndimage.affine_transform(plane, matrix[::-1, 1::-1], offset[::-1], order=1, mode="nearest")
        for plane in picture.astype(np.float32).transpose(2, 0, 1)
    ]
    return np.clip(np.stack(planes) * p["brightness"], 0, 255)


def pillow_warp(picture: np.ndarray, p: dict[str, float]) -> np.ndarray:
    """Outside it is black: Pillow has no other fill than a colour."""
    from PIL import Image, ImageEnhance

    matrix, middle = matrix_of(p), np.array(picture.shape[1::-1]) / 2
    shift = matrix[:, 2] + middle - matrix[:, :2] @ middle
    data = (*matrix[0, :2], shift[0], *matrix[1, :2], shift[1])
    image = Image.fromarray(picture)
    image = image.transform(image.size, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)
    return np.asarray(ImageEnhance.Brightness(image).enhance(p["brightness"]), dtype=np.float32).transpose(2, 0, 1)


def torch_warp(picture: np.ndarray, p: dict[str, float]) -> np.ndarray:
    import torch
    from torch.nn import functional

    side = torch.tensor([[picture.shape[1] / 2], [picture.shape[0] / 2]])
    theta = torch.from_numpy(matrix_of(p)).float()
    theta = theta * torch.cat([side.T.expand(2, 2), torch.ones(2, 1)], dim=1) / side
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    grid = functional.affine_grid(theta[None], list(pixels.shape), align_corners=False)
    moved = functional.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    return moved.mul_(p["brightness"]).clamp_(0, 255)[0].numpy()


def each(warp: Callable[[np.ndarray, dict[str, float]], np.ndarray], crop: Callable[..., Any]) -> Make:
    """A batch, picture by picture."""

    def make(batch: np.ndarray, work: str) -> None:
        side = batch.shape[1]
        if work == "warp":
            np.stack([warp(picture, draw(side)) for picture in batch])
        else:
            np.stack(
                [crop(one, random.randint(0, 8), random.randint(0, 8), random.random() < 0.5, side) for one in batch]
            )

    return make


def scipy_crop(picture: np.ndarray, x: int, y: int, flip: bool, side: int) -> np.ndarray:
    padded = np.pad(picture, ((4, 4), (4, 4), (0, 0)))[y : y + side, x : x + side]
    return (padded[:, ::-1] if flip else padded).astype(np.float32).transpose(2, 0, 1)


def pillow_crop(picture: np.ndarray, x: int, y: int, flip: bool, side: int) -> np.ndarray:
    from PIL import Image, ImageOps

    image = ImageOps.expand(Image.fromarray(picture), 4).crop((x, y, x + side, y + side))
    image = ImageOps.mirror(image) if flip else image
    return np.asarray(image, dtype=np.float32).transpose(2, 0, 1)


def torch_crop(picture: np.ndarray, x: int, y: int, flip: bool, side: int) -> np.ndarray:
    import torch
    from torch.nn import functional

    padded = functional.pad(torch.from_numpy(picture).permute(2, 0, 1), (4, 4, 4, 4))[:, y : y + side, x : x + side]
    return (padded.flip(2) if flip else padded).float().numpy()


def gradus_maker() -> Make:
    import torch

    from gradus.data.augment.apply import Augmentation
    from gradus.data.augment.settings import AugmentSettings, get_preset

    book = {**vars(get_preset("book")), "brightness": 0.2}
    settings = {
        "warp": AugmentSettings(**book),
        "pad": AugmentSettings(pad=4, flip_horizontal=0.5, fill="constant"),
    }
    made = {work: Augmentation(settings[work], (side, side), torch.zeros(3)) for work, (side, _) in WORKS.items()}

    def make(batch: np.ndarray, work: str) -> None:
        made[work](torch.from_numpy(batch))

    return make


def generator_maker() -> Make:
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    generators = {
        "warp": ImageDataGenerator(
            rotation_range=40,
            width_shift_range=0.2,
            height_shift_range=0.2,
            shear_range=math.degrees(0.2),
            zoom_range=0.2,
            horizontal_flip=True,
            brightness_range=(0.8, 1.2),
            fill_mode="nearest",
        ),
        "pad": ImageDataGenerator(
            width_shift_range=4, height_shift_range=4, horizontal_flip=True, fill_mode="constant"
        ),
    }

    def make(batch: np.ndarray, work: str) -> None:
        np.stack([generators[work].random_transform(picture.astype(np.float32)) for picture in batch])

    return make


def layers_maker() -> Make:
    import keras
    from keras import layers

    fill = {"fill_mode": "nearest"}
    works = {
        "warp": [
            layers.RandomRotation(40 / 360, **fill),
            layers.RandomTranslation(0.2, 0.2, **fill),
            layers.RandomShear(0.2, 0.0, **fill),
            layers.RandomZoom(0.2, 0.2, **fill),
            layers.RandomFlip("horizontal"),
            layers.RandomBrightness(0.2, value_range=(0, 255)),
        ],
        "pad": [layers.ZeroPadding2D(4), layers.RandomCrop(32, 32), layers.RandomFlip("horizontal")],
    }

    def make(batch: np.ndarray, work: str) -> None:
        values = keras.ops.convert_to_tensor(batch.astype(np.float32))
        for layer in works[work]:
            values = layer(values, training=True)
        keras.ops.convert_to_numpy(values)  # waits until it is there

    return make


def maker_of(name: str) -> Make:
    if name == "gradus":
        return gradus_maker()
    if name == "keras-generator":
        return generator_maker()
    if name.startswith("keras-"):
        return layers_maker()
    pair = {
        "scipy": (scipy_warp, scipy_crop),
        "pillow": (pillow_warp, pillow_crop),
        "torch-each": (torch_warp, torch_crop),
    }
    return each(*pair[name])


def work(name: str, core: int) -> None:
    """What a contestant's process does: a line "WORK ROWS" asks for a round, the answer is its seconds."""
    os.sched_setaffinity(0, {core})
    make = maker_of(name)
    print("ready", flush=True)
    for line in sys.stdin:
        kind, rows = line.split()
        side, size = WORKS[kind]
        pictures = np.random.default_rng(0).integers(0, 256, (int(rows), side, side, 3), dtype=np.uint8)
        started = time.process_time()
        for first in range(0, len(pictures), size):
            make(pictures[first : first + size], kind)
        print(time.process_time() - started, flush=True)


def compare() -> None:
    """The same parameters to all that take them: how far their pictures are from ours."""
    import torch

    from gradus.data.augment.geometry import Warp, warp_pictures

    random.seed(0)
    y, x = np.mgrid[0:150, 0:150]
    colours = [np.sin(x / 9 + phase) * np.cos(y / 7) * 100 + 128 for phase in range(3)]
    picture = np.stack(colours, axis=-1).astype(np.uint8)
    parameters = [{**draw(150), "brightness": 1.0} for _ in range(16)]
    matrices = torch.from_numpy(np.stack([matrix_of(p) for p in parameters])).float()
    ours = warp_pictures(
        torch.from_numpy(picture).expand(16, -1, -1, -1), Warp(matrices, (150, 150), (150, 150))
    ).numpy()
    seen = warp_pictures(
        torch.full((16, 150, 150, 1), 255, dtype=torch.uint8), Warp(matrices, (150, 150), (150, 150)), "constant"
    )
    inside = seen.numpy() == 255
    print("largest difference from Gradus's pictures, in levels of 255, edges left out of Pillow's:")
    for name, warp in (("scipy", scipy_warp), ("torch-each", torch_warp), ("pillow", pillow_warp)):
        theirs = np.stack([warp(picture, p) for p in parameters])
        difference = np.abs(theirs - ours) * (inside if name == "pillow" else 1)
        print(f"  {name:16} {difference.max():.3f}")
    straight = [{**p, "slant": 0.0} for p in parameters]  # Keras's shear makes a picture lower as well
    matrices = torch.from_numpy(np.stack([matrix_of(p) for p in straight])).float()
    ours = warp_pictures(
        torch.from_numpy(picture).expand(16, -1, -1, -1), Warp(matrices, (150, 150), (150, 150))
    ).numpy()
    os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        from keras.src.legacy.preprocessing.image import ImageDataGenerator
    except ImportError:
        print("  keras-generator  is not installed")
        return
    generator = ImageDataGenerator(fill_mode="nearest")
    theirs = np.stack([generator.apply_transform(picture.astype(np.float32), as_keras(p)) for p in straight])
    print(f"  {'keras-generator':16} {np.abs(theirs.transpose(0, 3, 1, 2) - ours).max():.3f}  (without shear)")


def as_keras(p: dict[str, float]) -> dict[str, Any]:
    names = {"theta": math.degrees(p["angle"]), "tx": p["x"], "ty": p["y"], "zx": p["wide"], "zy": p["high"]}
    return {**names, "flip_horizontal": bool(p["flip"])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(CONTESTANTS))
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contestant:
        work(given.contestant, given.core)
        return
    compare()
    names = given.only.split(",")
    seconds = race(names, given.pictures, given.rounds, given.core)
    for kind in WORKS:
        print(
            f"\n{kind}: pictures a second of one core, median (least to largest) of {given.rounds} rounds of {given.pictures}"
        )
        base = statistics.median(seconds["gradus"][kind]) if "gradus" in seconds else None
        for name in names:
            rates = sorted(given.pictures / value for value in seconds[name][kind])
            times = f"{statistics.median(seconds[name][kind]) / base:7.1f}x slower" if base and name != "gradus" else ""
            print(
                f"  {CONTESTANTS[name]:76} {statistics.median(rates):9,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f}) {times}"
            )
    if given.json:
        given.json.write_text(json.dumps({"pictures": given.pictures, "seconds": seconds}, indent=1))


def race(names: list[str], pictures: int, rounds: int, core: int) -> dict[str, dict[str, list[float]]]:
    """contestant -> work -> seconds of each round, the first round left out; they take turns."""
    processes = {}
    for name in names:
        backend = "jax" if name == "keras-jax" else "torch"
        environment = {**os.environ, "KERAS_BACKEND": backend, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, "--contestant", name, "--core", str(core)]
        process = subprocess.Popen(
            command,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise SystemExit(f"{name} does not start; see: {' '.join(command)}")
        processes[name] = process
    seconds: dict[str, dict[str, list[float]]] = {name: {kind: [] for kind in WORKS} for name in names}
    for turn in range(rounds + 1):
        for kind in WORKS:
            for name, process in processes.items():
                assert process.stdin is not None and process.stdout is not None
                process.stdin.write(f"{kind} {pictures}\n")
                process.stdin.flush()
                taken = float(process.stdout.readline())
                if turn:
                    seconds[name][kind].append(taken)
    for process in processes.values():
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
    return seconds


if __name__ == "__main__":
    main()
