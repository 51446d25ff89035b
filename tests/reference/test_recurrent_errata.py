"""What the texts print about recurrent networks and is not so: each test has the printed form beside the right one."""

from __future__ import annotations

import numpy as np
import pytest
from numerical import FLOAT64, NEAR, differences, normal

from gradus.reference import clipping, gru, lstm, recurrent, sequences
from gradus.reference.losses import softmax


def network(seed=1, steps=6, size=3, units=4, classes=5):
    """Arguments of `rnn` for one sequence, V, and targets."""
    generator = np.random.default_rng(seed)
    first, second, third = recurrent.elman_weights(size, units, classes, generator)
    arguments = (normal(seed, 1, steps, size), np.zeros((1, units)), first, second, np.zeros(units))
    return arguments, third, generator.integers(0, classes, (1, steps))


def test_listing_7_4_multiplies_shapes_that_do_not_match():
    targets, guesses = np.eye(5)[[0, 3, 1]], softmax(normal(1, 3, 5))  # (T, d)
    with pytest.raises(ValueError, match="broadcast"):
        targets.T * np.log(guesses)
    right = -(targets * np.log(guesses)).sum()
    found = sequences.sequence_cross_entropy(np.log(guesses)[None], targets.argmax(axis=1)[None])
    assert found == pytest.approx(right)
    # and where T = d it runs, and is another number
    targets, guesses = np.eye(4)[[0, 3, 1, 1]], softmax(normal(1, 4, 4))
    assert abs((targets.T * np.log(guesses)).sum() - (targets * np.log(guesses)).sum()) > 0.1


def test_listing_7_2_softmax_over_the_first_axis_is_over_time():
    logits = normal(2, 3, 5)  # (T, d)
    printed = np.exp(logits - logits.max(axis=0)) / np.exp(logits - logits.max(axis=0)).sum(axis=0)
    assert np.abs(printed.sum(axis=1) - 1).max() > 0.1
    np.testing.assert_allclose(softmax(logits).sum(axis=1), 1, **FLOAT64)


def test_listing_7_2_weights_of_the_hidden_layer_have_another_fan_in():
    # 1000 words and 50 units: s = x U has one term (a one-hot word), s W has 50, s V has 50
    generator = np.random.default_rng(0)
    own, printed = (recurrent.elman_weights(1000, 50, 1000, generator, printed=flag) for flag in (False, True))
    for weight, fan_in in zip(own, (1000, 50, 50), strict=True):
        assert weight.std() == pytest.approx(fan_in**-0.5, rel=0.05)
    for weight in printed:
        assert np.abs(weight).max() <= 1000**-0.5
        assert weight.std() == pytest.approx(1000**-0.5 / np.sqrt(3), rel=0.05)
    # W as printed shrinks a state to an eighth at each step, W by its own fan-in keeps its length
    state = normal(1, 200, 50)
    assert (state @ own[1]).std() / state.std() == pytest.approx(1, rel=0.1)
    assert (state @ printed[1]).std() / state.std() == pytest.approx(np.sqrt(50 / 3000), rel=0.1)
    assert sum(weight.size for weight in own) == 102_500


def test_listing_7_5_residual_of_the_wrong_sign_climbs():
    arguments, output_weight, targets = network()
    states, zeros = recurrent.rnn(*arguments), np.zeros(5)

    def loss(weight):
        return sequences.sequence_cross_entropy(recurrent.outputs(states, weight, zeros), targets)

    by_logits = sequences.sequence_cross_entropy_backward(recurrent.outputs(states, output_weight, zeros), targets)
    right = recurrent.outputs_backward(states, output_weight, zeros, by_logits)[1]
    printed = recurrent.outputs_backward(states, output_weight, zeros, -by_logits)[1]
    assert loss(output_weight - 0.1 * right) < loss(output_weight) < loss(output_weight - 0.1 * printed)


def test_equation_7_23_needs_each_steps_own_derivative():
    arguments, output_weight, targets = network()
    inputs, _, _, hidden_weight, _ = arguments
    states, zeros = recurrent.rnn(*arguments), np.zeros(5)
    by_logits = sequences.sequence_cross_entropy_backward(recurrent.outputs(states, output_weight, zeros), targets)
    by_states = recurrent.outputs_backward(states, output_weight, zeros, by_logits)[0]

    def by_input_weight(derivative_of):
        total = np.zeros_like(arguments[2])
        for origin in range(inputs.shape[1]):
            delta = by_states[:, origin] * (1 - states[:, origin] ** 2)
            for step in range(origin, -1, -1):
                total += inputs[:, step].T @ delta
                if step:
                    delta = (delta @ hidden_weight.T) * (1 - states[:, derivative_of(origin, step - 1)] ** 2)
        return total

    right = differences(
        lambda first: sequences.sequence_cross_entropy(
            recurrent.outputs(recurrent.rnn(*arguments[:2], first, *arguments[3:]), output_weight, zeros), targets
        ),
        arguments[2],
    )
    np.testing.assert_allclose(by_input_weight(lambda origin, step: step), right, **NEAR)
    assert np.abs(by_input_weight(lambda origin, step: origin) - right).max() > 1e-3  # as printed


def test_equation_7_27_has_the_loss_by_its_own_state_outside_the_product():
    # dL_t/dU_1 = dL_t/ds_t (sum_k prod_{j > k} ds_j/ds_{j-1} ds_k/dU_1), for L_t = w . s_t of the last step
    (inputs, initial, first, second, bias), _, _ = network(steps=4)
    states, weight = recurrent.rnn(inputs, initial, first, second, bias)[0], normal(5, 4)
    slopes = 1 - states**2
    jacobians = [slope[:, None] * second.T for slope in slopes]  # ds_j/ds_{j-1}
    reached = np.zeros(first.shape)
    for step in range(4):
        product = np.eye(4)
        for later in range(step + 1, 4):
            product = jacobians[later] @ product
        reached += np.outer(inputs[0, step], (weight @ product) * slopes[step])
    gradient = np.zeros((1, 4, 4))
    gradient[0, -1] = weight
    np.testing.assert_allclose(
        recurrent.rnn_backward(inputs, initial, first, second, bias, gradient)[2], reached, **FLOAT64
    )


def test_listing_7_8_truncation_begins_at_0_not_before_it():
    # range(t - 4, t + 1) of t = 1 is -3 .. 1, and states[-3] is not an error in Python: it is a state of the future
    steps = list(range(1 - 4, 1 + 1))
    assert steps == [-3, -2, -1, 0, 1]
    arguments, _, _ = network(steps=6)
    gradient = np.zeros((1, 6, 4))
    gradient[:, 1] = 1
    found = recurrent.rnn_backward_truncated(*arguments, gradient, truncation=4)
    assert (found[0][:, 2:] == 0).all()  # no input after step 1 has a part in its loss
    np.testing.assert_allclose(found[2], recurrent.rnn_backward(*arguments, gradient)[2], **FLOAT64)


def test_listing_7_9_lets_large_negative_gradients_through():
    def printed(gradient, threshold=0.8):
        return threshold / abs(gradient) * gradient if gradient > threshold else gradient

    assert printed(5.0) == pytest.approx(0.8)
    assert printed(-5.0) == -5.0
    np.testing.assert_allclose(clipping.clip_by_norm(np.array(-5.0), 0.8), -0.8)
    np.testing.assert_allclose(clipping.clip_by_value(np.array([-5.0, 0.5]), 0.8), [-0.8, 0.5])


# --- Plain Talk, chapter 8: E = 1/2 sum (y - target)^2 of y = softmax(W_s f(H)), H_t = W_H f(H_{t-1}) + W_X X_t


def squared_error(arguments, output_weight, wanted):
    guesses = softmax(recurrent.outputs(recurrent.rnn(*arguments), output_weight, np.zeros(output_weight.shape[1])))
    return 0.5 * ((guesses - wanted) ** 2).sum()


@pytest.mark.parametrize(
    ("residual", "jacobian", "exact"),
    [(True, True, True), (False, True, False), (True, False, False), (False, False, False)],
)
def test_plain_talk_leaves_out_the_residual_and_the_jacobian_of_softmax(residual, jacobian, exact):
    arguments, output_weight, targets = network()
    wanted, zeros = np.eye(5)[targets], np.zeros(5)
    states = recurrent.rnn(*arguments)
    guesses = softmax(recurrent.outputs(states, output_weight, zeros))
    by_guesses = guesses - wanted if residual else np.ones_like(guesses)
    by_logits = guesses * (by_guesses - (guesses * by_guesses).sum(axis=-1, keepdims=True)) if jacobian else by_guesses
    by_states = recurrent.outputs_backward(states, output_weight, zeros, by_logits)[0]
    found = recurrent.rnn_backward(*arguments, by_states)[3]
    right = differences(lambda w: squared_error((*arguments[:3], w, arguments[4]), output_weight, wanted), arguments[3])
    assert (np.abs(found - right).max() < 1e-8) == exact


def test_plain_talk_input_weights_are_reached_through_the_states_too():
    # the text stops dE/dW_x at X_t; for t >= 2 it also runs through H_{t-1}, which was made with W_x
    arguments, output_weight, targets = network()
    wanted, zeros = np.eye(5)[targets], np.zeros(5)
    states = recurrent.rnn(*arguments)
    guesses = softmax(recurrent.outputs(states, output_weight, zeros))
    by_guesses = guesses - wanted
    by_logits = guesses * (by_guesses - (guesses * by_guesses).sum(axis=-1, keepdims=True))
    by_states = recurrent.outputs_backward(states, output_weight, zeros, by_logits)[0]
    right = differences(
        lambda u: squared_error((*arguments[:2], u, *arguments[3:]), output_weight, wanted), arguments[2]
    )
    np.testing.assert_allclose(recurrent.rnn_backward(*arguments, by_states)[2], right, **NEAR)
    printed = recurrent.rnn_backward_truncated(*arguments, by_states, truncation=0)[2]
    assert np.abs(printed - right).max() > 1e-3
    # with one step there is nothing before it, and the text is right
    one = (arguments[0][:, :1], *arguments[1:])
    whole = recurrent.rnn_backward(*one, by_states[:, :1])[2]
    np.testing.assert_array_equal(whole, recurrent.rnn_backward_truncated(*one, by_states[:, :1], truncation=0)[2])


# --- LSTM


def gates_at(**sums):
    """An LSTM of 2 units without weights whose gates are what its biases say."""
    order = ("i", "f", "g", "o")
    bias = np.concatenate([np.full(2, sums.get(name, 0.0)) for name in order])
    return np.zeros((1, 1, 1)), np.zeros((1, 2)), np.array([[0.7, -1.5]]), np.zeros((1, 8)), np.zeros((2, 8)), bias


def test_the_forget_gate_rules_the_cell_and_the_output_gate_what_is_shown():
    # Principles and Practice calls f "output gate", Plain Talk calls o "forget gate"
    states, cells = lstm.lstm(*gates_at(f=-60, o=60))
    np.testing.assert_allclose(cells, 0, atol=1e-20)  # a closed forget gate forgets: 0 blocks
    states, cells = lstm.lstm(*gates_at(f=60, o=-60))
    np.testing.assert_allclose(cells[0, 0], [0.7, -1.5])  # a closed output gate forgets nothing
    np.testing.assert_allclose(states, 0, atol=1e-20)
    states, _ = lstm.lstm(*gates_at(f=60, o=60))
    np.testing.assert_allclose(states[0, 0], np.tanh([0.7, -1.5]))


def test_the_old_cell_is_not_simply_added_to_the_candidate():
    # Plain Talk §8.3: "linearly added"; each is weighed by its gate first
    _, cells = lstm.lstm(*gates_at(i=1.0, f=-1.0, g=0.5))
    right = np.array([0.7, -1.5]) / (1 + np.e) + np.tanh(0.5) / (1 + np.exp(-1))
    np.testing.assert_allclose(cells[0, 0], right)
    assert np.abs(right - (np.array([0.7, -1.5]) + np.tanh(0.5))).max() > 0.3


def test_an_lstm_is_trained_by_back_propagation_through_time_not_instead_of_it():
    generator = np.random.default_rng(0)
    arguments = (
        generator.normal(size=(1, 8, 2)),
        np.zeros((1, 3)),
        np.zeros((1, 3)),
        generator.normal(size=(2, 12)),
        generator.normal(size=(3, 12)) / 2,
        lstm.initial_bias(3),
    )
    gradient = np.zeros((1, 8, 3))
    gradient[:, -1] = 1  # the loss is of the last step
    by_inputs, _, _, by_weight, *_ = lstm.lstm_backward(*arguments, gradient)
    assert np.abs(by_inputs[0, 0]).max() > 1e-4  # it reaches the first step, seven steps back
    last = (arguments[0][:, -1:], *(lstm.lstm(*arguments)[place][:, -2] for place in (0, 1)), *arguments[3:])
    stopped = lstm.lstm_backward(*last, gradient[:, -1:])[3]
    right = differences(lambda w: lstm.lstm(*arguments[:3], w, *arguments[4:])[0][:, -1].sum(), arguments[3])
    np.testing.assert_allclose(by_weight, right, **NEAR)
    assert np.abs(stopped - right).max() > 1e-2


def test_listing_6_21_positive_weights_saturate():
    # T-12: inputs and weights uniform in [0, 1): every output of every step is about 1, whatever is read
    generator = np.random.default_rng(0)
    inputs = generator.random((1, 100, 32))
    printed = (generator.random((32, 64)), generator.random((64, 64)), generator.random(64))
    states = recurrent.rnn(inputs, np.zeros((1, 64)), *printed)
    assert states.shape == (1, 100, 64)
    assert states.min() > 0.99
    assert (states[:, 1:] == 1).all()
    scaled = (generator.normal(size=(32, 64)) / 32**0.5, generator.normal(size=(64, 64)) / 64**0.5, np.zeros(64))
    states = recurrent.rnn(inputs, np.zeros((1, 64)), *scaled)
    assert 0.2 < states.std() < 0.8
    # and saturated units pass no gradient back
    weight = np.zeros((1, 100, 64))
    weight[:, -1] = 1
    assert (recurrent.rnn_backward(inputs, np.zeros((1, 64)), *printed, weight)[0] == 0).all()


def test_listing_6_25_as_told_is_not_an_lstm():
    # T-13: the old carry enters the output through a matrix inside the activation; an LSTM shows o tanh(new cell)
    units = 2
    inputs, zeros = normal(1, 1, 5, 3), np.zeros((1, units))
    input_weight, hidden_weight, bias = normal(2, 3, 8), normal(3, units, 8), np.zeros(8)
    # blocks in the listing: i, f, k, o; the same numbers in both cells, gates by sigmoid where the cell is an LSTM
    told, carries = lstm.lstm_as_told(inputs, zeros, zeros, input_weight, hidden_weight, np.eye(units), bias)
    states, cells = lstm.lstm(inputs, zeros, zeros, input_weight, hidden_weight, bias)
    assert np.abs(told - states).max() > 0.1
    assert np.abs(carries - cells).max() > 0.1
    # by hand, the first step: no carry yet, so it is not in the output at all
    sums = inputs[:, 0] @ input_weight
    np.testing.assert_allclose(told[:, 0], np.tanh(sums[:, 6:]))
    np.testing.assert_allclose(carries[:, 0], np.tanh(sums[:, :2]) * np.tanh(sums[:, 4:6]))
    # the second step's output sees the carry that the first one left, unseen by its gates
    sums = inputs[:, 1] @ input_weight + told[:, 0] @ hidden_weight
    np.testing.assert_allclose(told[:, 1], np.tanh(sums[:, 6:] + carries[:, 0]))


def test_equation_8_13_and_listing_8_1_turn_the_update_gate_two_ways():
    arguments = (normal(1, 1, 3, 2), normal(2, 1, 2), normal(3, 2, 6), normal(4, 2, 6), normal(5, 6))
    equation, listing = gru.gru(*arguments, update="take"), gru.gru(*arguments, update="keep")
    assert np.abs(equation - listing).max() > 0.1
    trace = gru.gru_trace(*arguments, update="take")
    z, n = trace.update_gate[:, 0], trace.candidate[:, 0]
    np.testing.assert_allclose(equation[:, 0], (1 - z) * arguments[1] + z * n, **FLOAT64)
    np.testing.assert_allclose(listing[:, 0], (1 - z) * n + z * arguments[1], **FLOAT64)
