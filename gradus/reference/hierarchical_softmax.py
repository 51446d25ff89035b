"""Hierarchical softmax: a word is reached by yes-or-no turns down a binary tree (Morin and Bengio 2005; Mikolov et al. 2013).

A vocabulary of V words has V - 1 inner nodes, each a logistic unit. A word's probability is the product of its turns, so the
probabilities of all words add up to 1 without a sum over V; a Huffman tree makes frequent words few turns deep.

Shapes: hidden (N, d), node_weight (V - 1, d), nodes and turns (V, D) of the D deepest, padded with turn 0.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.sigmoids import sigmoid
from gradus.reference.word_losses import log_sigmoid


def huffman_paths(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each word's way from the root: (V, D) inner nodes, and (V, D) turns of +1 or -1, 0 where the way has ended.

    counts (V,), V >= 2. Ties are broken by the word's number, so that the tree is always the same one.
    """
    size = len(counts)
    queue = [(float(count), word, [word]) for word, count in enumerate(counts)]  # weight, tie-break, the leaves below
    heapify(queue)
    ways: list[list[tuple[int, int]]] = [[] for _ in range(size)]
    for node in range(size - 1):
        left_weight, _, left = heappop(queue)
        right_weight, _, right = heappop(queue)
        for word in left:
            ways[word].insert(0, (node, 1))
        for word in right:
            ways[word].insert(0, (node, -1))
        heappush(queue, (left_weight + right_weight, size + node, left + right))
    depth = max(len(way) for way in ways)
    nodes, turns = np.zeros((size, depth), dtype=int), np.zeros((size, depth), dtype=int)
    for word, way in enumerate(ways):
        for level, (node, turn) in enumerate(way):
            nodes[word, level], turns[word, level] = node, turn
    return nodes, turns


def hierarchical_softmax(
    hidden: np.ndarray, node_weight: np.ndarray, targets: np.ndarray, nodes: np.ndarray, turns: np.ndarray
) -> float:
    """Mean of -sum over the target's way of log sigmoid(turn * (node . hidden))."""
    way, turn = nodes[targets], turns[targets]
    scores = np.einsum("nd,nld->nl", hidden, node_weight[way])
    return float(-np.where(turn != 0, log_sigmoid(turn * scores), 0).sum(axis=1).mean())


def hierarchical_softmax_backward(
    hidden: np.ndarray, node_weight: np.ndarray, targets: np.ndarray, nodes: np.ndarray, turns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """By (hidden, node_weight): at each turn -turn * sigmoid(-turn * score)."""
    way, turn = nodes[targets], turns[targets]
    scores = np.einsum("nd,nld->nl", hidden, node_weight[way])
    by_scores = -turn * sigmoid(-turn * scores) / len(targets)
    by_node_weight = np.zeros_like(node_weight)
    np.add.at(by_node_weight, way, by_scores[..., None] * hidden[:, None])
    return np.einsum("nl,nld->nd", by_scores, node_weight[way]), by_node_weight


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="hierarchical softmax",
        function="hierarchical_softmax.hierarchical_softmax",
        backward="hierarchical_softmax.hierarchical_softmax_backward",
        formula=r"P(w \mid h) = \prod_{l} \sigma(t_l\, u_{n_l}^\top h), \quad t_l \in \{-1, 1\}",
        derivative=r"\frac{\partial L}{\partial (u_n^\top h)} = -t\, \sigma(-t\, u_n^\top h)",
        range=r"[0, \infty)",
        fast="torch.nn.AdaptiveLogSoftmaxWithLoss (another tree, the same idea)",
        source="Morin and Bengio 2005; Mikolov et al. 2013; course notes §5.2.5",
        note="Frequent words lie near the root (Huffman).",
    ),
)
