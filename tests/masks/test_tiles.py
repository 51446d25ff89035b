"""Tiles: they cover a picture, and what is joined is what the whole picture gives."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from gradus.masks.tiles import join_tiles, tile_places, tile_weights


@pytest.mark.parametrize("size", [(40, 40), (41, 100), (99, 40), (100, 173), (20, 90)])
def test_tiles_cover_every_pixel_and_none_reaches_out(size):
    tile = (40, 40)
    seen = np.zeros(size, dtype=int)
    for top, left in tile_places(size, tile):
        assert top >= 0 and left >= 0
        assert top + 40 <= max(size[0], 40) and left + 40 <= max(size[1], 40)
        seen[top : top + 40, left : left + 40] += 1
    assert seen.min() >= 1
    lefts = sorted({left for _, left in tile_places(size, tile)})
    assert all(after - before <= 20 for before, after in pairwise(lefts))


def test_what_every_tile_says_is_what_is_joined():
    places = tile_places((50, 70), (32, 32))
    picture = np.random.default_rng(0).random((3, 50, 70)).astype(np.float32)
    tiles = [picture[:, top : top + 32, left : left + 32] for top, left in places]
    np.testing.assert_allclose(join_tiles(tiles, places, (50, 70)), picture, rtol=1e-5)


def test_a_network_without_edges_gives_the_same_by_tiles():
    """Valid convolutions see 4 pixels around each: inside of tiles, and so wherever only insides are joined, all is equal."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 5), nn.ReLU(), nn.Conv2d(6, 4, 5)).eval()
    picture = torch.randn(1, 3, 70, 90)
    places = tile_places((62, 82), (32, 32))
    with torch.inference_mode():
        whole = network(picture)[0].numpy()
        tiles = [network(picture[:, :, top : top + 40, left : left + 40])[0].numpy() for top, left in places]
    np.testing.assert_allclose(join_tiles(tiles, places, (62, 82)), whole, atol=1e-5)


def test_there_are_no_seams():
    """Tiles that disagree fade into each other: no step between neighbours is more than a small part of the difference."""
    places = tile_places((32, 64), (32, 32))
    tiles = [np.full((1, 32, 32), float(number)) for number in range(len(places))]
    joined = join_tiles(tiles, places, (32, 64))[0]
    assert len(places) == 3
    assert np.abs(np.diff(joined, axis=1)).max() < 0.2
    assert np.abs(np.diff(joined, axis=0)).max() < 1e-6


def test_the_middle_of_a_tile_counts_most():
    weights = tile_weights((31, 41))
    assert weights.argmax() == 15 * 41 + 20
    assert weights.min() > 0
    assert weights[15, 0] <= 0.0101
