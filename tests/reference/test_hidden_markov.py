"""Hidden Markov models, against the sum and the maximum over all paths, and against hmmlearn where it is installed."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from gradus.reference import hmm


@pytest.fixture
def model():
    return hmm.random_model(3, 4, np.random.default_rng(1))


SHOWN = np.array([0, 3, 1, 1, 2, 0])


def all_paths(model, shown):
    """Every path with its probability."""
    paths = np.array(list(product(range(len(model.initial)), repeat=len(shown))))
    return paths, np.exp([hmm.path_log_probability(model, path, shown) for path in paths])


def test_a_path_has_the_product_of_its_chances(model):
    by_hand = model.initial[2] * model.emission[2, 0] * model.transition[2, 1] * model.emission[1, 3]
    assert np.exp(hmm.path_log_probability(model, np.array([2, 1]), np.array([0, 3]))) == pytest.approx(by_hand)


def test_the_likelihood_is_the_sum_over_all_paths(model):
    _, chances = all_paths(model, SHOWN)
    assert hmm.log_likelihood(model, SHOWN) == pytest.approx(np.log(chances.sum()))


def test_posteriors_are_shares_of_paths(model):
    paths, chances = all_paths(model, SHOWN)
    wanted = [[chances[paths[:, step] == state].sum() for state in range(3)] for step in range(len(SHOWN))]
    np.testing.assert_allclose(hmm.posteriors(model, SHOWN), np.array(wanted) / chances.sum(), rtol=1e-10)


def test_forward_and_backward_meet_at_every_step(model):
    both = hmm.forward_variables(model, SHOWN) + hmm.backward_variables(model, SHOWN)
    np.testing.assert_allclose(np.logaddexp.reduce(both, axis=1), hmm.log_likelihood(model, SHOWN), rtol=1e-12)


def test_viterbi_finds_the_likeliest_path(model):
    paths, chances = all_paths(model, SHOWN)
    path, log_probability = hmm.viterbi(model, SHOWN)
    assert path.tolist() == paths[chances.argmax()].tolist()
    assert log_probability == pytest.approx(np.log(chances.max()))


def test_viterbi_takes_no_move_that_does_not_exist():
    """Each step's likeliest state taken alone walks from 0 to 2, which the model never does."""
    transition = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])
    emission = np.array([[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]])
    model = hmm.HiddenMarkov(np.array([1.0, 0.0, 0.0]), transition, emission)
    path, _ = hmm.viterbi(model, np.array([0, 1, 1, 1]))
    assert (transition[path[:-1], path[1:]] > 0).all()


def test_sequences_of_any_length_in_one_array_are_as_alone(model):
    random = np.random.default_rng(0)
    sequences = [hmm.sample(model, length, random)[1] for length in (1, 5, 3)]
    padded = np.zeros((3, 5), dtype=np.int64)
    for row, one in enumerate(sequences):
        padded[row, : len(one)] = one
    lengths = np.array([1, 5, 3])
    together, paths = hmm.log_likelihood(model, padded, lengths), hmm.viterbi(model, padded, lengths)
    shares = hmm.posteriors(model, padded, lengths)
    for row, one in enumerate(sequences):
        assert together[row] == pytest.approx(hmm.log_likelihood(model, one))
        alone, log_probability = hmm.viterbi(model, one)
        assert paths[0][row].tolist() == alone.tolist() + [-1] * (5 - len(one))
        assert paths[1][row] == pytest.approx(log_probability)
        np.testing.assert_allclose(shares[row, : len(one)], hmm.posteriors(model, one))
        assert (shares[row, len(one) :] == 0).all()


def test_counting_by_hand():
    found = hmm.count_model([np.array([0, 0, 1]), np.array([1])], [np.array([2, 0, 1]), np.array([1])], 2, 3)
    assert found.initial.tolist() == [0.5, 0.5]
    assert found.transition.tolist() == [[0.5, 0.5], [0.5, 0.5]]  # nothing follows state 1: all chances are equal
    assert found.emission.tolist() == [[0.5, 0, 0.5], [0, 1, 0]]
    smoothed = hmm.count_model([np.array([0, 0, 1])], [np.array([2, 0, 1])], 2, 3, smoothing=1)
    np.testing.assert_allclose(smoothed.emission, [[2 / 5, 1 / 5, 2 / 5], [1 / 4, 2 / 4, 1 / 4]])


def test_counting_is_the_maximum_of_the_likelihood_of_known_states():
    """X-06: counting needs the states, so it is supervised. Any other model makes the same states and symbols less likely."""
    random = np.random.default_rng(3)
    true = hmm.random_model(2, 3, random)
    states, shown = hmm.sample(true, 300, random)
    counted = hmm.count_model([states], [shown], 2, 3)
    best = hmm.path_log_probability(counted, states, shown)
    others = [true, hmm.learn_without_states(shown, 2, 3, random, restarts=1, steps=20)]
    assert all(hmm.path_log_probability(other, states, shown) < best for other in others)


def test_one_step_of_baum_welch_counts_every_path_by_its_probability(model):
    paths, chances = all_paths(model, SHOWN)
    shares = chances / chances.sum()
    moves = np.zeros((3, 3))
    for path, share in zip(paths, shares, strict=True):
        np.add.at(moves, (path[:-1], path[1:]), share)
    stepped, before = hmm.baum_welch_step(model, SHOWN)
    assert before == pytest.approx(hmm.log_likelihood(model, SHOWN))
    np.testing.assert_allclose(stepped.transition, moves / moves.sum(axis=1, keepdims=True), rtol=1e-9)
    wanted = np.zeros((3, 4))
    for path, share in zip(paths, shares, strict=True):
        np.add.at(wanted, (path, SHOWN), share)
    np.testing.assert_allclose(stepped.emission, wanted / wanted.sum(axis=1, keepdims=True), rtol=1e-9)


def test_the_likelihood_never_falls():
    random = np.random.default_rng(5)
    shown = np.stack([hmm.sample(hmm.random_model(2, 4, np.random.default_rng(2)), 40, random)[1] for _ in range(4)])
    _, history = hmm.baum_welch(hmm.random_model(2, 4, random), shown, lengths=[40, 30, 40, 7], steps=30, tolerance=0)
    assert (np.diff(history) > -1e-9).all()
    assert history[-1] > history[0] + 1


def test_previous_and_next_are_bayes_rule(model):
    shares = hmm.stationary(model)
    np.testing.assert_allclose(shares @ model.transition, shares)
    joint = shares[:, None] * model.transition
    np.testing.assert_allclose(hmm.previous_chances(model, 1, shares)[0], joint[:, 1] / joint[:, 1].sum())
    np.testing.assert_allclose(hmm.next_chances(model, 1)[1].sum(), 1)


def test_chances_that_do_not_add_up_are_refused():
    with pytest.raises(ValueError, match="emission"):
        hmm.HiddenMarkov(np.ones(1), np.ones((1, 1)), np.array([[0.5, 0.6]]))


def test_as_hmmlearn():
    other = pytest.importorskip("hmmlearn.hmm", reason="hmmlearn is not installed")
    random = np.random.default_rng(7)
    model = hmm.random_model(3, 5, random)
    shown = hmm.sample(model, 200, random)[1]
    theirs = other.CategoricalHMM(n_components=3, n_features=5, init_params="", n_iter=1)
    theirs.startprob_, theirs.transmat_, theirs.emissionprob_ = model.initial, model.transition, model.emission
    assert theirs.score(shown[:, None]) == pytest.approx(hmm.log_likelihood(model, shown))
    np.testing.assert_allclose(theirs.predict_proba(shown[:, None]), hmm.posteriors(model, shown), atol=1e-9)
    log_probability, path = theirs.decode(shown[:, None])
    assert path.tolist() == hmm.viterbi(model, shown)[0].tolist()
    assert log_probability == pytest.approx(hmm.viterbi(model, shown)[1])
    theirs.fit(shown[:, None])
    stepped, _ = hmm.baum_welch_step(model, shown)
    np.testing.assert_allclose(theirs.transmat_, stepped.transition, atol=1e-6)
    np.testing.assert_allclose(theirs.emissionprob_, stepped.emission, atol=1e-6)
