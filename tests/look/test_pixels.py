"""The engine that optimises pixels: one pass, gradients, descent, ascent; and the losses it is used with."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from tiny_sight import Tiny, subject, tensor
from torch import nn
from torch.nn import functional

from gradus.look.inside import likeness
from gradus.look.inside.hooks import collect
from gradus.look.inside.layer_choice import chosen_layers
from gradus.look.inside.likeness import content_difference, style_difference, style_sum, wanted_grams
from gradus.look.inside.pixels import ascend, average_pooling, descend, noise, out_of_range
from gradus.look.inside.style import _objective
from gradus.nn.losses import gram_matrix, total_variation
from gradus.reference import image_losses


def test_collect_stops_after_the_last_layer_it_needs_and_leaves_no_hook():
    network = Tiny()
    ran = []
    network.head.register_forward_hook(lambda *_: ran.append("head"))
    network.features[6].register_forward_hook(lambda *_: ran.append("features.6"))
    inputs = torch.rand(1, 3, 8, 8)
    found = collect(network, {"late": network.features[3], "early": network.features[1]}, inputs)
    assert ran == []
    assert torch.equal(found["early"], network.features[:2](inputs))
    assert torch.equal(found["late"], network.features[:4](inputs))
    ran.clear()
    network(inputs)
    assert ran == ["features.6", "head"]
    assert not network.features[3]._forward_hooks


def test_only_the_picture_has_gradients():
    seen = subject()
    layers = chosen_layers(seen, "features.3", "content")
    pictures = tensor(0, torch.float32), [tensor(1, torch.float32)]
    objective = _objective(seen, (layers, layers), pictures, [1.0], (1, 1, 1), "relative")
    before = {name: value.clone() for name, value in seen.model.state_dict().items()}
    start = tensor(2, torch.float32)
    made = descend(start, objective, iterations=1, evaluations=3)
    assert not torch.equal(made.picture, start)
    assert all(torch.equal(value, before[name]) for name, value in seen.model.state_dict().items())
    assert all(parameter.grad is None for parameter in seen.model.parameters())


@pytest.mark.parametrize("scale", ["relative", "gatys", "keras"])
@pytest.mark.parametrize("pooling", [False, True])
def test_gradient_by_pixels_is_that_of_differences(scale, pooling):
    seen = subject(dtype=torch.float64)
    content, one, two = (tensor(seed, height=8, width=9) for seed in range(3))
    layers = chosen_layers(seen, "conv2_1", "content"), chosen_layers(seen, "conv1_1=2, conv1_2, conv2_1=0.5", "style")
    weights = (1.0, 10.0, 0.3) if scale == "relative" else (0.1, 100.0, 1e-3)
    start = (tensor(5, height=8, width=9) * 1.2 - 0.1).requires_grad_()  # some values lie outside of 0..1
    with average_pooling(seen.model, pooling):
        objective = _objective(seen, layers, (content, [one, two]), [0.3, 0.7], weights, scale)
        (gradient,) = torch.autograd.grad(sum(objective(start).values()), start)
        for place in [(0, 0, 0, 0), (0, 1, 3, 4), (0, 2, 7, 8), (0, 0, 5, 2)]:
            moved = []
            for step in (1e-6, -1e-6):
                shifted = start.detach().clone()
                shifted[place] += step
                moved.append(float(sum(objective(shifted).values()).detach()))
            difference = (moved[0] - moved[1]) / 2e-6
            assert float(gradient[place]) == pytest.approx(difference, rel=2e-4, abs=1e-6 * float(gradient.abs().max()))


def test_losses_are_those_of_the_reference():
    features, wanted = (torch.rand(1, 4, 3, 5, dtype=torch.float64) for _ in range(2))
    ours, theirs = features.numpy(), wanted.numpy()
    mean_gram = gram_matrix(wanted) / 15
    for scale in ("gatys", "keras"):
        asked = image_losses.style(ours, theirs, scale, picture=(30, 50) if scale == "keras" else None)
        assert float(style_difference(features, mean_gram, scale, (30, 50))) == pytest.approx(asked, rel=1e-12)
        kind = "gatys" if scale == "gatys" else "sum"
        assert float(content_difference(features, wanted, scale)) == pytest.approx(
            image_losses.content(ours, theirs, kind), rel=1e-12
        )
    grams = image_losses.gram(ours), image_losses.gram(theirs)
    assert float(style_difference(features, mean_gram, "relative", (30, 50))) == pytest.approx(
        ((grams[0] - grams[1]) ** 2).sum() / (grams[1] ** 2).sum(), rel=1e-12
    )
    assert float(content_difference(features, wanted, "relative")) == pytest.approx(
        ((ours - theirs) ** 2).sum() / (theirs**2).sum(), rel=1e-12
    )
    pixels = torch.rand(1, 3, 6, 7, dtype=torch.float64)
    assert float(likeness.smoothness(pixels, "keras")) == pytest.approx(
        image_losses.total_variation(255 * pixels.numpy()), rel=1e-12
    )


def test_the_listing_s_divisor_differs_from_the_formula_s_by_another_factor_in_every_layer():
    """(4 * 3^2 (H W)^2) / (4 C^2 M^2): weights tuned for one are wrong for the other (T-20, P-14)."""
    factors = []
    for channels, side in ((64, 32), (128, 16)):
        features, wanted = (torch.rand(1, channels, side, side, dtype=torch.float64) for _ in range(2))
        gram = gram_matrix(wanted) / side**2
        gatys = float(style_difference(features, gram, "gatys", (32, 32)))
        factors.append(gatys / float(style_difference(features, gram, "keras", (32, 32))))
    assert factors == pytest.approx([(3 / 64) ** 2, (3 / 128) ** 2 * (32**2 / 16**2) ** 2])


def test_a_style_of_another_size_is_compared_by_the_mean_over_its_positions():
    """The same tile once and four times has the same style, so a loss of 0; the sums of eq. 6-5 would differ fourfold."""
    identity = nn.Conv2d(3, 3, 1, bias=False)
    nn.init.dirac_(identity.weight)
    seen = subject(nn.Sequential(identity), torch.float64)
    layers = chosen_layers(seen, "0", "style")
    tile = tensor(1, height=8, width=8)
    wanted = wanted_grams(seen, layers, [tile], [1.0])
    for scale in ("relative", "gatys"):
        features = {"0": seen.model(seen.prepare(255 * tile.repeat(1, 1, 2, 2).permute(0, 2, 3, 1)))}
        assert float(style_sum(features, layers, wanted, scale, (16, 16)).detach()) == pytest.approx(0, abs=1e-20)


def test_gram_matrices_forget_where_things_stand():
    features = torch.rand(1, 5, 4, 6, dtype=torch.float64)
    shuffled = features.flatten(2)[:, :, torch.randperm(24)].reshape(features.shape)
    assert torch.allclose(gram_matrix(features), gram_matrix(shuffled), atol=1e-12)
    assert float(style_difference(shuffled, gram_matrix(features) / 24, "relative", (4, 6))) < 1e-20
    assert float(total_variation(torch.full((1, 3, 4, 5), 0.3))) == 0


def test_gram_of_one_argument_is_not_the_picture_of_the_other():
    """J(G) = alpha J_content(C, G) + beta J_style(S, G): with beta only the style picture counts, with alpha only the content."""
    seen = subject(dtype=torch.float64)
    layers = chosen_layers(seen, "conv1_2", "content"), chosen_layers(seen, "conv1_2", "style")
    content, style, other = tensor(0), tensor(1), tensor(2)

    def value(first, second, weights, at):
        return float(sum(_objective(seen, layers, (first, [second]), [1.0], weights, "relative")(at).values()).detach())

    assert value(content, style, (0.0, 1.0, 0.0), style) == pytest.approx(0, abs=1e-20)
    assert value(content, style, (0.0, 1.0, 0.0), content) > 1e-4
    assert value(content, style, (1.0, 0.0, 0.0), content) == pytest.approx(0, abs=1e-20)
    assert value(content, style, (0.0, 1.0, 0.0), other) == value(other, style, (0.0, 1.0, 0.0), other)
    both = value(content, style, (1.0, 0.0, 0.0), other) + value(content, style, (0.0, 1.0, 0.0), other)
    assert value(content, style, (1.0, 1.0, 0.0), other) == pytest.approx(both, rel=1e-12)  # added, none thrown away


def test_content_and_styles_pass_the_network_once():
    seen = subject()
    passes = []
    seen.model.features[0].register_forward_hook(lambda *_: passes.append(1))
    layers = chosen_layers(seen, "conv1_2", "content"), chosen_layers(seen, "conv1_1, conv2_1", "style")
    content, *styles = (tensor(seed, torch.float32) for seed in range(3))
    objective = _objective(seen, layers, (content, styles), [1.0, 1.0], (1.0, 1.0, 1.0), "relative")
    assert len(passes) == 3
    made = descend(content, objective, iterations=2, evaluations=4)
    assert len(passes) == 3 + made.evaluations  # loss and gradient of all layers from one pass


def test_content_alone_from_noise_gives_the_content_back():
    """Two convolutions that lose nothing: 3 -> 12 channels, no pool."""
    torch.manual_seed(3)
    seen = subject(
        nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.LeakyReLU(0.5), nn.Conv2d(12, 12, 1)), torch.float64
    )
    content = tensor(4, height=8, width=8)
    layers = chosen_layers(seen, "2", "content")
    objective = _objective(seen, (layers, layers), (content, []), [], (1.0, 0.0, 0.0), "relative")
    start = noise((1, 3, 8, 8), torch.Generator().manual_seed(0)).double()
    made = descend(start, objective, iterations=15)
    assert made.loss < 1e-6 * made.losses()[0]
    assert float((made.picture - content).abs().max()) < 0.02


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_descent_lowers_the_loss_keeps_pictures_and_repeats_itself(optimizer):
    seen = subject()
    layers = chosen_layers(seen, "conv1_1", "content"), chosen_layers(seen, "conv1_1, conv2_1", "style")
    pictures = tensor(0, torch.float32), [tensor(1, torch.float32)]
    objective = _objective(seen, layers, pictures, [1.0], (1.0, 10.0, 1.0), "relative")
    runs = [
        descend(pictures[0], objective, optimizer=optimizer, iterations=3, evaluations=8, keep=(1, 3)) for _ in range(2)
    ]
    assert torch.equal(runs[0].picture, runs[1].picture)
    made = runs[0]
    assert made.loss == min(made.losses()) < 0.7 * made.losses()[0]
    assert float(sum(objective(made.picture).values()).detach()) == pytest.approx(made.loss, rel=1e-5)
    assert sorted(made.kept) == [1, 3] and made.iterations == 3
    if optimizer == "adam":
        assert made.evaluations == 24
    else:  # the search along a line may finish what it began
        assert 3 * 8 <= made.evaluations < 3 * (8 + 25)


def test_l_bfgs_keeps_what_it_learnt_from_one_iteration_to_the_next():
    """A long valley: begun anew for every iteration, it would have to learn its direction each time."""
    slopes = torch.logspace(0, 4, 16).reshape(1, 1, 4, 4)

    def objective(picture):
        return {"loss": (slopes * (picture - 0.5).square()).sum()}

    start = torch.zeros(1, 1, 4, 4)
    kept = descend(start, objective, iterations=6, evaluations=5)
    anew = start
    for _ in range(6):
        again = descend(anew, objective, iterations=1, evaluations=5)
        anew = again.picture
    assert kept.loss < 0.5 * again.loss


def test_noise_is_uniform_and_the_generator_s():
    first, again = (noise((1, 3, 60, 60), torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, again) and float(first.min()) >= 0 and float(first.max()) <= 1
    shares = torch.histc(first, 10, 0, 1) / first.numel()
    assert float((shares - 0.1).abs().max()) < 0.01


def test_ctrl_c_keeps_the_best_picture_so_far():
    seen = itertools.count()

    def objective(picture):
        if next(seen) == 7:
            raise KeyboardInterrupt
        return {"square": (picture - 0.3).square().sum()}

    made = descend(torch.zeros(1, 1, 4, 4), objective, optimizer="adam", iterations=5, evaluations=3)
    assert made.interrupted and made.iterations == 2 and made.evaluations == 7
    assert made.loss == min(made.losses())
    assert float((made.picture - 0.3).square().sum()) == pytest.approx(made.loss)


def test_ctrl_c_before_anything_was_seen_ends_all():
    def objective(picture):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        descend(torch.zeros(1, 1, 2, 2), objective, iterations=1)


def test_a_loss_that_is_not_finite_ends_the_descent_with_the_best_picture_before_it():
    seen = itertools.count()
    made = descend(
        torch.ones(1, 1, 2, 2),
        lambda picture: {"loss": picture.square().sum() / (0 if next(seen) >= 4 else 1)},
        optimizer="adam", iterations=9, evaluations=2,
    )  # fmt: skip
    assert "finite" in made.why and made.iterations == 3
    assert torch.isfinite(made.picture).all() and math.isfinite(made.loss)


def test_total_variation_alone_smooths():
    start = noise((1, 3, 12, 12), torch.Generator().manual_seed(0))
    made = descend(start, lambda picture: {"variation": likeness.smoothness(picture, "relative")}, iterations=3)
    assert float(total_variation(made.picture)) < 0.05 * float(total_variation(start))


def test_what_leaves_the_range_is_drawn_back():
    assert float(out_of_range(torch.tensor([[0.0, 1.0, 0.4]]))) == 0
    assert float(out_of_range(torch.tensor([[-0.1, 1.2]]))) == pytest.approx((0.01 + 0.04) / 2)


def test_ascent_moves_pixels_by_the_step_on_average_whatever_the_gradient_s_size():
    torch.manual_seed(0)
    start, towards = torch.rand(1, 3, 6, 7), torch.randn(1, 3, 6, 7)
    for size in (1e-3, 1e3):
        made = ascend(start, lambda picture, size=size: size * (picture * towards).sum(), steps=1, step=0.01)
        assert float((made.picture - start).abs().mean()) == pytest.approx(0.01, rel=1e-4)
    still = ascend(start, lambda picture: 0 * picture.sum(), steps=2, step=0.01)
    assert torch.equal(still.picture, start)  # a gradient of 0 is divided by 1e-7


def test_ascent_stops_before_the_step_where_the_limit_is_passed():
    made = ascend(torch.zeros(1, 1, 2, 2), lambda picture: picture.sum(), steps=20, step=1.0, limit=10.0)
    assert made.losses() == [0, 4, 8, 12] and float(made.picture.sum()) == 12
    assert "10" in made.why


def test_jitter_shifts_and_shifts_back():
    start = torch.rand(1, 1, 9, 5, generator=torch.Generator().manual_seed(1))
    made = ascend(
        start, lambda picture: picture.sum(), steps=6, step=0.5, jitter=3, generator=torch.Generator().manual_seed(2)
    )
    assert torch.allclose(made.picture, start + 3.0)


def test_average_pooling_holds_inside_the_block_only():
    network = nn.Sequential(nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True))
    inputs = torch.rand(1, 2, 8, 8)
    with average_pooling(network):
        inside = network(inputs)
    assert torch.equal(inside, functional.avg_pool2d(inputs, 3, 2, 1, True, False))
    assert torch.equal(network(inputs), functional.max_pool2d(inputs, 3, 2, 1, ceil_mode=True))


# --- colours


def test_luminance_keeps_the_chroma_exactly():
    coloured, light = tensor(1), torch.rand(1, 1, 16, 20, dtype=torch.float64) * 3 - 1
    result = likeness.with_colours_of(coloured, light)
    assert float(result.min()) >= -1e-12 and float(result.max()) <= 1 + 1e-12
    chroma = [pixels - likeness.luminance(pixels) for pixels in (coloured, result)]
    assert torch.allclose(chroma[0], chroma[1], atol=1e-12)
    assert torch.allclose(likeness.with_colours_of(coloured, likeness.luminance(coloured)), coloured, atol=1e-12)


def test_matched_colours_have_the_content_s_mean_and_covariance():
    style, content = tensor(1, height=9), tensor(2)
    matched = likeness.matched_colours(style, content)
    assert matched.shape == style.shape
    for statistic in (lambda rows: rows.mean(1), torch.cov):
        assert torch.allclose(statistic(matched[0].flatten(1)), statistic(content[0].flatten(1)), atol=1e-4)
    grey = likeness.matched_colours(
        torch.full((1, 3, 4, 4), 0.5), content.float()
    )  # a covariance of 0 is not divided by
    assert torch.isfinite(grey).all()


def test_matched_luminance_has_the_content_s_mean_and_deviation():
    light = likeness.matched_luminance(tensor(1), tensor(2))
    wanted = likeness.luminance(tensor(2))
    assert float(light.mean()) == pytest.approx(float(wanted.mean())) and float(light.std()) == pytest.approx(
        float(wanted.std())
    )
