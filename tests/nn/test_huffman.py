"""The Huffman tree is that of the reference, ties included."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gradus.nn.huffman import huffman_paths
from gradus.reference import hierarchical_softmax as reference


@pytest.mark.parametrize("counts", [[3, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 9, 5, 5, 2, 1], list(range(40, 0, -1))])
def test_the_tree_is_that_of_the_reference(counts):
    nodes, turns = huffman_paths(torch.tensor(counts))
    expected_nodes, expected_turns = reference.huffman_paths(np.array(counts))
    assert nodes.numpy().tolist() == expected_nodes.tolist()
    assert turns.numpy().tolist() == expected_turns.tolist()


def test_frequent_words_lie_near_the_root():
    _, turns = huffman_paths(torch.tensor([1000, 10, 9, 8, 1]))
    depths = turns.abs().sum(dim=1).tolist()
    assert depths[0] == 1 and depths == sorted(depths)
