"""How many of the blood cells of bccd the proposals find: python benchmarks/proposals.py [--quality full] [--every 6]"""

from __future__ import annotations

import argparse
import time

import numpy as np

import gradus
from gradus.boxes.proposals import QUALITIES, propose, recall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quality", choices=QUALITIES, default="fast")
    parser.add_argument("--split", default="test")
    parser.add_argument("--every", type=int, default=1, help="take every so many of the pictures")
    arguments = parser.parse_args()
    split = gradus.load_data("bccd")[arguments.split]
    rows = [split.row(index) for index in range(0, len(split), arguments.every)]
    given = [row["objects"].boxes for row in rows]
    truths = [boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)] for boxes in given]
    began = time.process_time()
    found = [propose(np.asarray(row["image"]), 1000, quality=arguments.quality) for row in rows]
    seconds = (time.process_time() - began) / len(rows)
    print(f"{len(rows)} pictures, {sum(map(len, truths))} boxes, {seconds:.2f} s of one core a picture")
    for record in recall(found, truths):
        print("  ".join(f"{name} {value:.3f}" for name, value in record.items()))


if __name__ == "__main__":
    main()
