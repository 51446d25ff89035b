"""The Huffman tree of a vocabulary, for the hierarchical softmax: frequent words lie near the root (Mikolov et al. 2013)."""

from __future__ import annotations

from heapq import heapify, heappop, heapreplace

import numpy as np
import torch
from torch import Tensor


def huffman_paths(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Each word's way from the root: (V, D) int64 inner nodes, and (V, D) float32 turns of +1 or -1, 0 where the way has ended.

    counts (V,), V >= 2. Ties are broken by the word's number, so that the tree is always the same one: that of
    `gradus.reference.hierarchical_softmax.huffman_paths`, in the time of a sort.
    """
    weights = counts.double().tolist()
    size = len(weights)
    queue = [(weight, word) for word, weight in enumerate(weights)]  # numbers from `size` on are inner nodes
    heapify(queue)
    parents, sides = np.zeros(2 * size - 1, dtype=np.int64), np.zeros(2 * size - 1, dtype=np.float32)
    for node in range(size, 2 * size - 1):
        left_weight, left = heappop(queue)
        right_weight, right = queue[0]
        heapreplace(queue, (left_weight + right_weight, node))
        parents[[left, right]], sides[left], sides[right] = node, 1, -1
    depths = np.zeros(2 * size - 1, dtype=np.int64)
    for node in range(2 * size - 3, -1, -1):  # a parent has a higher number than its children
        depths[node] = depths[parents[node]] + 1
    deepest = int(depths[:size].max())
    nodes, turns = np.zeros((size, deepest), dtype=np.int64), np.zeros((size, deepest), dtype=np.float32)
    at, words = np.arange(size), np.arange(size)
    while len(words):
        level = depths[at] - 1
        nodes[words, level], turns[words, level] = parents[at] - size, sides[at]
        at = parents[at]
        inside = depths[at] > 0
        at, words = at[inside], words[inside]
    return torch.from_numpy(nodes), torch.from_numpy(turns)
