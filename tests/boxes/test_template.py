"""Template matching against scikit-image, and its maxima."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.feature import match_template as oracle

from gradus.boxes.template import match_template, maxima
from gradus.errors import UserError


def test_the_coefficient_is_scikit_images():
    generator = np.random.default_rng(0)
    picture = generator.normal(size=(20, 30))
    template = picture[4:10, 7:12] * 3 + 5
    found = match_template(picture, template, normalized=True)
    assert np.allclose(found, oracle(picture, template), atol=1e-6)
    assert np.unravel_index(found.argmax(), found.shape) == (4, 7) and found.max() == pytest.approx(1)


def test_by_hand_with_and_without_the_mean():
    picture = np.array([[0.0, 0, 0, 9, 9], [0, 2, 1, 9, 9]])
    template = np.array([[2.0, 1.0]])
    assert match_template(picture, template, zero_mean=False)[1].tolist() == [2, 5, 11, 27]
    assert match_template(picture, template)[1].tolist() == [-1, 0.5, -4, 0]  # weights 0.5 and -0.5: even areas give 0
    assert match_template(picture, template, normalized=True)[0, 0] == 0


def test_maxima_keep_their_distance():
    response = np.zeros((5, 9))
    response[2, 1], response[2, 3], response[2, 6], response[0, 8] = 5, 6, 4, 1
    assert maxima(response, 2, 2) == [(2, 3), (2, 6)]
    assert maxima(response, 2, 1) == [(2, 3), (2, 1), (2, 6)]
    assert maxima(response, 7, 1) == []


def test_a_template_larger_than_the_picture():
    with pytest.raises(UserError, match="does not fit"):
        match_template(np.zeros((4, 4)), np.zeros((5, 2)))
