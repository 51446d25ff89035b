"""What detectors cost beside what they find: accuracy, time of a picture alone, and how many boxes are considered.

    python benchmarks/detection.py RUN... --pictures FOLDER [--number 50]

The comparison of the text (*Principles and Practice* Table 5-1) with one unit: seconds a picture, one picture at a time, from the
file to the boxes, after three pictures that warm up. mAP@50 is that of the run's own evaluation. Boxes considered are those
before the threshold and suppression. The table is Markdown; below it stands what each stage of each run takes.
"""

from __future__ import annotations

import argparse
import platform
from itertools import islice
from pathlib import Path

import torch

from gradus.data.columns import Column, Image
from gradus.data.dataset import Split
from gradus.data.frames import find_files, read_frames
from gradus.recipes.predicting import STAGES, Stages, predict_frames
from gradus.recipes.run import Run, load_run

WARM_UP = 3


def measure(run: Run, pictures: str, number: int) -> Stages:
    """The time of each stage over so many pictures, one by one."""
    (kind,) = (kind for kind in run.task.input_types.values() if isinstance(kind, Image))
    frames = read_frames(find_files([pictures]), kind.channels)
    for _ in predict_frames(run, islice(frames, WARM_UP), batch_size=1):
        pass
    stages = Stages(run.plan.device)
    for _ in predict_frames(run, islice(frames, number), stages, batch_size=1):
        pass
    return stages


def boxes_considered(run: Run, pictures: str) -> int | None:
    """How many boxes the network gives for the first picture, or is given for it, where its answer says so."""
    model, task = run.model, run.task
    ((column, kind),) = ((name, kind) for name, kind in task.input_types.items() if isinstance(kind, Image))
    frame = next(iter(read_frames(find_files([pictures]), kind.channels)))
    split = Split({column: Column(kind, [frame.pixels])}, [frame.name])
    batch = {name: rows.to(run.plan.device) for name, rows in task.encode(split, with_target=False).items()}
    with torch.inference_mode():
        found = model(task.prepare(batch, training=False)[0])
    # (P, 4), the same on each picture; (1, P, 4); (1, cells, boxes, 4)
    for name in ("boxes", "regions", "priors", "places"):
        boxes = getattr(found, name, None)
        if isinstance(boxes, torch.Tensor):
            return boxes.numel() // 4
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--pictures", required=True, metavar="FOLDER")
    parser.add_argument("--number", type=int, default=50)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print("| run | mAP@50 | seconds a picture | pictures a second | boxes considered |")
    print("|---|---|---|---|---|")
    parts = []
    for path in arguments.runs:
        run = load_run(path)
        stages = measure(run, arguments.pictures, arguments.number)
        accuracy = run.evaluation.get("metrics", {}).get("map50")
        shown = "-" if accuracy is None else f"{100 * accuracy:.1f} %"
        considered = boxes_considered(run, arguments.pictures)
        cells = [
            Path(path).name,
            shown,
            f"{1 / stages.rate:.4f}",
            f"{stages.rate:.1f}",
            f"{considered:,}" if considered else "-",
        ]
        print(f"| {' | '.join(cells)} |")
        taken = {name: f"{each:.1f} ms" for name, each, _ in stages.rows()}
        parts.append([Path(path).name, *(taken.get(name, "-") for name in STAGES)])
        device = run.plan.device
    print(f"\n| run | {' | '.join(STAGES)} |\n|{'---|' * (len(STAGES) + 1)}")
    for row in parts:
        print(f"| {' | '.join(row)} |")
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU"
    print(f"\n{arguments.number} pictures, {where}, {arguments.threads} threads, PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
