"""Networks of games: sizes as printed, the rules of the two losses, the slope of a critic, the pyramid; and their errata."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from gradus.errors import UserError
from gradus.models import create_model
from gradus.models.generative.lapgan import from_pyramid, pyramid

SMALL = {
    "gan": {"hidden": (6,), "units": (4,), "pieces": 2},
    "cgan": {"num_classes": 3},
    "dcgan": {"width": 2, "num_classes": 3},
    "wgan_gp": {"width": 2, "num_classes": 3},
    "lapgan": {"width": 2, "hidden": 5, "levels": 2, "num_classes": 3},
}
SIZED = {name: {"image_size": 8, "latent_size": 5, **options} for name, options in SMALL.items()}
SIZED["dcgan_frogs"] = {"in_channels": 1}


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def game(name: str, **options):
    torch.manual_seed(0)
    chosen = {key: value for key, value in {**SIZED[name], **options}.items() if value is not None}
    return create_model(name, **chosen)


def inputs_of(model, rows: int = 6):
    side = 32 if type(model).__name__ == "DCGANFrogs" else 8
    pictures = torch.rand(rows, 1, side, side, generator=torch.Generator().manual_seed(1))
    return (pictures, torch.arange(rows) % 3) if model.num_classes else pictures


@pytest.mark.parametrize("name", SIZED)
def test_a_game_makes_pictures_and_keeps_its_players_apart(name):
    model = game(name)
    inputs = inputs_of(model, 3)
    latents = model.draw(3, torch.Generator().manual_seed(4))
    classes = inputs[1] if model.num_classes else None
    with torch.no_grad():
        model.eval()
        made = model.generate(latents, classes)
        assert torch.equal(made, model.generate(latents, classes))
        assert made.shape == (inputs[0] if classes is not None else inputs).shape
        assert model.judge(made, classes).shape == (3,)
        outcome = model(inputs)
        assert len(outcome) == 3 and torch.isfinite(outcome.loss).all()
    low = {"unit": 0, "symmetric": -1}[model.pixels]
    if name != "lapgan":  # whose differences are not bounded
        assert low <= float(made.min()) and float(made.max()) <= 1
    model.train()
    for player in model.players:
        model.zero_grad()
        for part, parameter in model.named_parameters():
            parameter.requires_grad_(part.startswith(player))
        model.play(player, inputs).loss.mean().backward()
        learnt = {part.split(".")[0] for part, value in model.named_parameters() if value.grad is not None}
        assert learnt == {player}
    if classes is not None:
        with pytest.raises(UserError, match="told the class"):
            model.generate(latents)


def test_a_discriminator_says_in_evaluation_what_it_says_in_training():
    """By what real and made pictures have left behind together, it would tell them apart less well than it does."""
    model, pictures = game("dcgan", num_classes=None, image_size=16), torch.rand(6, 1, 16, 16) * 2 - 1
    told, kept = [], [buffer.clone() for buffer in model.discriminator.buffers()]
    for training in (False, True):
        model.generator.eval()
        model.discriminator.train(training)
        torch.manual_seed(0)
        told.append(model.play("discriminator", pictures).parts)
        if not training:
            assert all(map(torch.equal, kept, model.discriminator.buffers()))
            assert not any(part.training for part in model.discriminator.modules())
    for name in ("d_real", "d_fake"):
        torch.testing.assert_close(told[0][name], told[1][name])


def test_the_frogs_are_those_of_the_listing():
    """*Deep Learning with Python* §8.5: counts as printed; the generator makes three channels, not one."""
    model = create_model("dcgan_frogs")
    assert (count(model.generator), count(model.discriminator)) == (6_264_579, 790_913)
    with torch.device("meta"):
        shapes = create_model("dcgan_frogs")
    assert shapes.generator(torch.empty(2, 32, device="meta")).shape == (2, 3, 32, 32)
    with pytest.raises(UserError, match="32x32"):
        create_model("dcgan_frogs", image_size=28)


def test_the_conditional_game_is_that_of_the_paper():
    """Mirza 2014: z - 200, y - 1000, 1200, 784; maxout x 240 of 5, y 50 of 5, 240 of 4. Pixels and class are its inputs."""
    model = create_model("cgan")
    assert count(model.generator) == 101 * 200 + 11 * 1000 + 1201 * 1200 + 1201 * 784
    assert count(model.discriminator) == 785 * 240 * 5 + 11 * 50 * 5 + 291 * 240 * 4 + 241


def test_the_dense_game_is_that_of_its_authors():
    model = create_model("gan")
    assert count(model.generator) == 101 * 1200 + 1201 * 1200 + 1201 * 784
    assert count(model.discriminator) == 785 * 1200 + 241 * 1200 + 241


@pytest.mark.parametrize(
    ("side", "channels", "first"), [(28, 1, (2, 7)), (32, 3, (4, 4)), (64, 3, (8, 4)), (24, 1, (2, 6))]
)
@pytest.mark.parametrize("kernel_size", [4, 5])
def test_a_dcgan_of_any_size(side, channels, first, kernel_size):
    with torch.device("meta"):
        model = create_model("dcgan", image_size=side, in_channels=channels, width=1, kernel_size=kernel_size)
        layers = model.generator
        assert layers[:2](torch.empty(2, 100)).shape == (2, first[0], first[1], first[1])
        made = model.generate(torch.empty(2, 100))
        assert made.shape == (2, channels, side, side)
        assert model.judge(made).shape == (2,)


def test_the_maps_of_the_papers_generator():
    """Radford 2015, figure 1: 4x4x1024, 8x8x512, 16x16x256, 32x32x128, 64x64x3."""
    with torch.device("meta"):
        model = create_model("dcgan", image_size=64, in_channels=3, width=128, kernel_size=5)
        maps, shapes = torch.empty(1, 100), []
        for layer in model.generator:
            maps = layer(maps)
            shapes.append(tuple(maps.shape[1:]))
    assert list(dict.fromkeys(shapes[1:])) == [(1024, 4, 4), (512, 8, 8), (256, 16, 16), (128, 32, 32), (3, 64, 64)]


def test_the_generator_descends():
    """*Plain Talk* §12.1 has it climb E[log(1 - D(G(z)))] too: then what is made is ever less like what is real."""
    for loss in ("minimax", "non-saturating"):
        model = game("dcgan", num_classes=None, rules={"loss": loss}).eval()
        latents = torch.randn(16, 5)
        optimizer = torch.optim.SGD(model.generator.parameters(), 0.1)
        before = model.judge(model.generate(latents)).mean()
        optimizer.zero_grad()
        model.generator_outcome(model.judge(model.generate(latents))).loss.mean().backward()
        optimizer.step()
        assert model.judge(model.generate(latents)).mean() > before, loss


def test_both_losses_are_those_of_the_value():
    fake, real = torch.tensor([-3.0, 0.0, 2.0]), torch.tensor([2.0, 0.0, -1.0])
    model = game("dcgan", num_classes=None).eval()
    value = torch.log(real.sigmoid()) + torch.log(1 - fake.sigmoid())
    torch.testing.assert_close(model.discriminator_outcome(real, fake).loss, -value)
    assert -model.discriminator_outcome(real, fake).loss[1] == pytest.approx(-math.log(4))  # both at one half
    torch.testing.assert_close(model.generator_outcome(fake).loss, -torch.log(fake.sigmoid()))
    saturating = game("dcgan", num_classes=None, rules={"loss": "minimax"}).generator_outcome(fake).loss
    torch.testing.assert_close(saturating, torch.log(1 - fake.sigmoid()))
    assert model.discriminator_outcome(real, fake).parts["passed"].tolist() == [0, 0, 1]


def test_labels_stay_within_0_and_1():
    """The listing of the frogs adds its noise to 1, which cross-entropy is not made for: its loss has no least value there."""
    model = game("dcgan", num_classes=None, rules={"label_noise": 0.05, "label_smoothing": 0.1}).train()
    real, fake = torch.full((2000,), 50.0), torch.full((2000,), -50.0)
    torch.manual_seed(0)
    loss = model.discriminator_outcome(real, fake).loss
    # a logit of 50 costs 50 * (1 - label): labels of real ones are from 0.85 to 0.9, of made ones from 0 to 0.05
    assert float(loss.min()) >= 50 * 0.1 and float(loss.max()) <= 50 * (0.15 + 0.05)
    assert float(loss.mean()) == pytest.approx(50 * (0.125 + 0.025), rel=0.02)
    clean = model.eval().discriminator_outcome(real, fake).loss
    torch.testing.assert_close(clean, 2 * functional.softplus(-real))


def test_noise_that_the_discriminator_sees_falls_to_nothing():
    model = game("dcgan", rules={"instance_noise": 0.5})
    pictures = torch.zeros(4, 1, 8, 8)
    for epoch, expected in ((0, 0.5), (2, 0.25)):
        model.begin_epoch(epoch, 4)
        assert float(model.seen(pictures).std()) == pytest.approx(expected, rel=0.2)
    assert torch.equal(model.eval().seen(pictures), pictures)


def test_the_slope_of_a_critic():
    """Of a linear critic it is the length of its weights, everywhere; its penalty's gradient is that of finite differences."""
    model = game("wgan_gp", num_classes=None)
    weight = torch.nn.Parameter(torch.randn(64))
    model.judge = lambda pictures, classes=None: pictures.flatten(1) @ weight
    found = model.slope(torch.randn(3, 1, 8, 8), torch.randn(3, 1, 8, 8), None)
    torch.testing.assert_close(found, weight.norm().expand(3))
    (gradient,) = torch.autograd.grad(((found - 1) ** 2).mean(), weight)
    torch.testing.assert_close(gradient, 2 * (weight.norm() - 1) * weight / weight.norm())


def test_a_critic_has_no_batch_statistics_and_no_labels():
    model = game("wgan_gp")
    assert not [part for part in model.discriminator.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    pictures, classes = inputs_of(model)
    alone = model.judge(pictures[:1], classes[:1])
    torch.testing.assert_close(model.judge(pictures, classes)[:1], alone)
    with pytest.raises(UserError, match="no labels"):
        game("wgan_gp", rules={"label_smoothing": 0.1})


def test_a_pyramid_adds_up_to_its_picture_exactly():
    pictures = torch.randint(0, 256, (3, 2, 16, 16), generator=torch.Generator().manual_seed(0)).float()
    parts = pyramid(pictures, 3)
    assert [part.shape[-1] for part in parts] == [16, 8, 4]
    assert torch.equal(from_pyramid(parts), pictures)  # grey values as whole numbers: no rounding at all
    torch.testing.assert_close(from_pyramid(pyramid(pictures / 255, 3)), pictures / 255, atol=1e-6, rtol=0)
    assert float(parts[0][:, :, 4:12, 4:12].mean().abs()) < 8  # of differences


def test_a_pyramid_of_true_differences_is_what_is_made():
    """`generate` goes the way that the levels were taught: with generators that give the true parts, it gives the picture."""
    model = game("lapgan", num_classes=None)
    pictures = torch.randint(0, 256, (2, 1, 8, 8)).float()
    parts = pyramid(pictures, 2)
    model.at_level = lambda level, noise, coarse, classes: parts[level]
    assert torch.equal(model.generate(model.draw(2, torch.Generator())), pictures)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("dcgan", {"image_size": 18}, "the nearest is 16"),
        ("dcgan", {"rules": {"lost": 1}}, "unknown setting 'rules.lost'; did you mean 'loss'"),
        ("dcgan", {"rules": {"label_noise": 0.5}}, "0 to below 0.5"),
        ("dcgan", {"kernel_size": 3}, "expected 4 or 5"),
        ("lapgan", {"image_size": 8}, "3 levels of a picture of 8 pixels"),
        ("gan", {"num_classes": 3}, "cgan and dcgan can be"),
        ("wgan_gp", {"penalty": -1.0}, "penalty"),
    ],
)
def test_mistakes_are_told(name, options, message):
    with pytest.raises(UserError) as told:
        create_model(name, **options)
    assert message in str(told.value)
