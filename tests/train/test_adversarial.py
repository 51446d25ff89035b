"""The learner of a game: it is the loop one would write, its players' gradients never mix, and it goes on to the same bits."""

from __future__ import annotations

import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from gradus.data.columns import Column, Image
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.errors import UserError
from gradus.models import create_model
from gradus.recipes.execute import create_trainer
from gradus.recipes.experiment import prepare, train_settings
from gradus.recipes.recipe import Recipe
from gradus.stopping import Interrupted
from gradus.tasks.settings import TaskSettings
from gradus.train.adversarial import watch_balance
from gradus.train.folder import RunFolder
from gradus.train.randomness import seed_step
from gradus.train.settings import AdversarialSettings, RegularizationSettings
from gradus.train.trainer import TrainingStopped

ROWS = 26


def dataset() -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 256, (ROWS, 8, 8, 1), dtype=np.uint8)
    split = Split({"picture": Column(Image(channels=1), pixels)}, NumberedRows.count("made", ROWS))
    return Dataset(name="made", source="made", splits={"train": split})


def experiment(name: str = "dcgan", turns: int = 1, rate: float | None = None, rules=None, **training):
    settings = train_settings(**{"epochs": 2, "batch_size": 8, "learning_rate": 0.01, "optimizer": "adam"} | training)
    settings = replace(settings, adversarial=AdversarialSettings(turns=turns, discriminator_rate=rate))
    torch.manual_seed(3)
    model = create_model(name, image_size=8, latent_size=5, width=2, rules=rules)
    return prepare(
        Recipe(task=TaskSettings(name="picture-generation"), train=settings), dataset(), model, measure=False
    )


def weights(made) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in made.model.state_dict().items()}


def same(first, second) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_the_average_is_of_what_makes_and_the_judge_is_the_present_one():
    """It stayed what it was before it had learnt: then everything passes for real."""
    trainer = create_trainer(experiment(average=0.9))
    begun = {name: value.clone() for name, value in trainer.learner.model.named_parameters()}
    trainer.fit()
    raw, kept = (dict(model.named_parameters()) for model in (trainer.learner.model, trainer.learner.averaged))
    for name, value in raw.items():
        assert torch.equal(kept[name], value) == name.startswith("discriminator."), name
        assert not torch.equal(kept[name], begun[name]), name


@pytest.mark.parametrize("turns", [1, 2])
def test_it_is_the_loop_that_one_would_write(turns):
    made = experiment(turns=turns, rate=0.03, learning_rate=0.1, optimizer="sgd", epochs=1)
    trainer = create_trainer(made)
    torch.manual_seed(3)
    by_hand = create_model("dcgan", image_size=8, latent_size=5, width=2).to(memory_format=torch.channels_last)
    judge = torch.optim.SGD(by_hand.discriminator.parameters(), 0.03)
    maker = torch.optim.SGD(by_hand.generator.parameters(), 0.1)
    for step in range(trainer.source.steps):
        seed_step(0, 0, step, torch.device("cpu"))
        batch = trainer.source.batch(0, step)["inputs"].permute(0, 3, 1, 2).float() / 255 * 2 - 1
        for part in batch.tensor_split(max(1, min(turns, len(batch) // 2))):
            with torch.no_grad():
                fake = by_hand.generator(torch.randn(len(part), 5))
            real_logit, fake_logit = by_hand.judge(part), by_hand.judge(fake)
            loss = (functional.softplus(-real_logit) + functional.softplus(fake_logit)).mean()
            judge.zero_grad()
            loss.backward()
            judge.step()
        loss = functional.softplus(-by_hand.judge(by_hand.generator(torch.randn(len(part), 5)))).mean()
        maker.zero_grad()
        loss.backward()
        maker.step()
    trainer.fit()
    for (name, mine), theirs in zip(made.model.named_parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-4, msg=name)


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_a_turn_changes_one_player_alone(player):
    made = experiment()
    learner = create_trainer(made).learner
    before = weights(made)
    inputs, _ = made.task.prepare({"inputs": torch.randint(0, 256, (4, 8, 8, 1), dtype=torch.uint8)}, training=True)
    learner._turn(player, inputs, 1.0, 1.0, {})
    for name, value in made.model.named_parameters():
        mine = name.startswith(player)
        assert torch.equal(value, before[name]) != mine, name
        assert (value.grad is not None) == mine, name


@pytest.mark.parametrize(("name", "turns"), [("dcgan", 1), ("wgan_gp", 2), ("lapgan", 1)])
def test_a_game_that_is_stopped_goes_on_to_the_same_bits(tmp_path, name, turns):
    """With the moving average, noise that falls with the epochs, and dropout."""
    rules = {"instance_noise": 0.2}

    def run(folder):
        options = {"levels": 2} if name == "lapgan" else {}
        torch.manual_seed(3)
        made = experiment(turns=turns, average=0.9, checkpoint_seconds=0.0, epochs=3)
        torch.manual_seed(3)
        made.model = create_model(name, image_size=8, latent_size=5, width=2, rules=rules, **options)
        return made, create_trainer(made, folder)

    whole, trainer = run(None)
    trainer.fit()
    expected = {key: value.clone() for key, value in trainer.learner.predicting_state().items()}
    _, trainer = run(RunFolder.create(tmp_path / "run"))
    step, at = trainer.learner.step, iter(range(100))

    def interrupted(batch):
        if next(at) == 5:  # in the middle of the second epoch
            signal.raise_signal(signal.SIGTERM)
        return step(batch)

    trainer.learner.step = interrupted
    with pytest.raises(Interrupted):
        trainer.fit()
    trainer.folder.lock.release()
    again, trainer = run(RunFolder.reopen(tmp_path / "run"))
    trainer.restore()
    assert 0 < trainer.epoch * trainer.source.steps + trainer.step < 3 * trainer.source.steps
    trainer.fit()
    assert same(expected, trainer.learner.predicting_state())
    assert same(weights(whole), weights(again))


def test_what_is_not_finite_stops_the_game():
    made = experiment()
    trainer = create_trainer(made)
    made.model.discriminator.judgement.weight.data.fill_(float("inf"))
    maker = made.model.generator[0].weight.clone()
    with pytest.raises(TrainingStopped, match=r"discriminator\.judgement\.weight"):
        trainer.fit()
    assert torch.equal(made.model.generator[0].weight, maker)


@pytest.mark.parametrize("setting", [{"accumulate": 2}, {"compile": True}, {"patience": 2}, {"freeze": ("generator",)}])
def test_settings_that_mean_nothing_to_a_game_are_refused(setting):
    """Before a folder is begun: `prepare` says so."""
    with pytest.raises(UserError, match="game"):
        experiment(**setting)


def test_settings_of_a_game_are_refused_where_none_is_played():
    settings = replace(train_settings(epochs=1), adversarial=AdversarialSettings(turns=2))
    recipe = Recipe(task=TaskSettings(name="picture-generation"), train=settings)
    with pytest.raises(UserError, match="plays none"):
        prepare(recipe, dataset(), create_model("conv_vae", image_size=8, latent_size=2), measure=False)


def test_clipping_and_penalties_reach_each_player():
    """A gradient cut to next to nothing, by plain descent, moves no weight by more than the rate times the cut."""
    made = experiment(optimizer="sgd", learning_rate=1.0, epochs=1)
    regularization = RegularizationSettings(clip_value=1e-6, l2=0.1)
    made.recipe = replace(made.recipe, train=replace(made.recipe.train, regularization=regularization))
    before = weights(made)
    trainer = create_trainer(made)
    trainer.fit()
    moved = [float((value.detach() - before[name]).abs().max()) for name, value in made.model.named_parameters()]
    assert 0 < max(moved) <= trainer.source.steps * 1.1e-6
    assert trainer.history[0]["train_penalty"] > 0


def test_a_discriminator_that_has_won_is_told_once():
    told = []
    watch = watch_balance((told.append,))
    for real in (0.99, 0.99, 0.6, 0.99, 0.99, 0.99, 0.99):
        watch({"event": "epoch", "train_d_real": real, "train_d_fake": 0.01})
    assert len(told) == 1 and "discriminator_rate" in told[0]["text"] and "D(x) 0.99" in told[0]["text"]
