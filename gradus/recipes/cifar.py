"""Recipes on CIFAR-10, with the settings that the papers print; `...-small` are cut to minutes on two CPU cores.

Where the data set comes as JPEG files, as it does in some collections, accuracies run below those of the original files, which
all printed numbers are of. Different from the papers in all: channels are standardised where some subtract a mean picture.

The small ones learn from 10 000 pictures for a few epochs, their schedules shortened in proportion: enough to see plain nets
of 56 layers stay behind those of 20 on the pictures they learn from, and residual ones not.
"""

from __future__ import annotations

from dataclasses import replace

from gradus.data.augment.settings import AugmentSettings, get_preset
from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.recipe import Published, Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import OptimizerSettings, ScheduleSettings, TrainSettings

TASK = TaskSettings(name="image-classification", options={"normalize": "standardize"})
ALL_ROWS = DataSettings(source="cifar10", validation=0)
SMALL_ROWS = DataSettings(source="cifar10", validation=5000, rows=10_000)
HE_2015 = "He et al. 2015, table 6"

# He et al. 2015, §4.2: 45 000 rows to learn from, 64 000 updates of 128, the rate divided by 10 after 32 000 and 48 000
EPOCHS_OF_HE = 182
HE_TRAINING = TrainSettings(
    epochs=EPOCHS_OF_HE,
    batch_size=128,
    optimizer=OptimizerSettings(name="sgd", learning_rate=0.1, momentum=0.9, weight_decay=1e-4, decay="all"),
    schedule=ScheduleSettings(name="milestones", milestones=(91.0, 136.5)),
)
SMALL_TRAINING = replace(HE_TRAINING, epochs=10, schedule=ScheduleSettings(name="milestones", milestones=(5.0, 7.5)))
RISE = 0.1  # of all updates: the paper lets the rate of 110 layers rise first, and so few are over before 56 get over one of 0.1


def _he(name: str, about: str, accuracy: float | None = None) -> Recipe:
    return Recipe(
        name=f"cifar10-{name}",
        about=about,
        data=DataSettings(source="cifar10", validation=5000),
        task=TASK,
        model=ModelSettings(name=name),
        augment=get_preset("cifar"),
        train=HE_TRAINING,
        published=Published(metric="accuracy", value=accuracy, source=HE_2015) if accuracy else None,
    )


def _small(recipe: Recipe, warmup: float = 0.0) -> Recipe:
    about = f"{recipe.model.name} on 10 000 pictures, 10 epochs, for a CPU."
    train = replace(SMALL_TRAINING, schedule=replace(SMALL_TRAINING.schedule, warmup=warmup))
    return replace(recipe, name=f"{recipe.name}-small", about=about, data=SMALL_ROWS, train=train, published=None)


def cifar10_resnet20() -> Recipe:
    """He et al. 2015, §4.2."""
    return _he("resnet20", "20 layers with shortcuts: 269 722 parameters.", 0.9125)


def cifar10_resnet56() -> Recipe:
    return _he("resnet56", "56 layers with shortcuts: 853 018 parameters.", 0.9303)


def cifar10_resnet110() -> Recipe:
    """The rate rises to 0.1 over the first 400 updates; the paper has 0.01 there, as 0.1 is too much to begin with."""
    recipe = _he("resnet110", "110 layers with shortcuts: 1 727 962 parameters.", 0.9357)
    return replace(recipe, train=replace(HE_TRAINING, schedule=replace(HE_TRAINING.schedule, warmup=400 / 64_000)))


def cifar10_plain20() -> Recipe:
    """The paper shows its curves (fig. 6) and prints no number."""
    return _he("plain20", "resnet20 without shortcuts.")


def cifar10_plain56() -> Recipe:
    return _he("plain56", "resnet56 without shortcuts: worse than plain20, even on the pictures it learns from.")


def cifar10_resnet20_small() -> Recipe:
    return _small(cifar10_resnet20())


def cifar10_resnet56_small() -> Recipe:
    return _small(cifar10_resnet56(), RISE)


def cifar10_plain20_small() -> Recipe:
    return _small(cifar10_plain20())


def cifar10_plain56_small() -> Recipe:
    return _small(cifar10_plain56(), RISE)


def cifar10_densenet_bc() -> Recipe:
    """Huang et al. 2016, §4.2 and table 2 (C10+)."""
    return Recipe(
        name="cifar10-densenet-bc",
        about="DenseNet-BC of 100 layers, growth 12: 769 162 parameters.",
        data=ALL_ROWS,
        task=TASK,
        model=ModelSettings(name="densenet_bc_100_12"),
        augment=get_preset("cifar"),
        train=TrainSettings(
            epochs=300,
            batch_size=64,
            optimizer=OptimizerSettings(
                name="sgd", learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4, decay="all"
            ),
            schedule=ScheduleSettings(name="milestones", milestones=(150.0, 225.0)),
        ),
        published=Published(metric="accuracy", value=0.9549, source="Huang et al. 2016, table 2"),
    )


def cifar10_wrn28_10() -> Recipe:
    """Zagoruyko and Komodakis 2016, §3. Crops are filled by reflection."""
    return Recipe(
        name="cifar10-wrn28-10",
        about="Wide residual network, 28 layers, 10 times as wide: 36 479 194 parameters.",
        data=ALL_ROWS,
        task=TASK,
        model=ModelSettings(name="wrn28_10"),
        augment=AugmentSettings(pad=4, flip_horizontal=0.5, fill="reflect"),
        train=TrainSettings(
            epochs=200,
            batch_size=128,
            optimizer=OptimizerSettings(
                name="sgd", learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4, decay="all"
            ),
            schedule=ScheduleSettings(name="milestones", milestones=(60.0, 120.0, 160.0), factor=0.2),
        ),
        published=Published(metric="accuracy", value=0.96, source="Zagoruyko and Komodakis 2016, table 5"),
    )


def cifar10_tutorial() -> Recipe:
    """*Plain Talk* §6.9: the TensorFlow tutorial. The book prints no result; the tutorial says about 86 %.

    100 000 of the book's 1 000 000 updates, which is what the tutorial's number is of: the rate would fall first after 350
    epochs. The listing lets the weights of local3 and local4 alone decay; here those of the convolutions and the output
    (one tenth of all) decay too.
    """
    return Recipe(
        name="cifar10-tutorial",
        about="TensorFlow's tutorial net: 24x24 crops, local response norms, averaged weights; 1 068 298 parameters.",
        data=ALL_ROWS,
        task=TaskSettings(name="image-classification", options={"crop_size": 24, "normalize": "per-picture"}),
        model=ModelSettings(name="cifar10_tutorial"),
        augment=get_preset("tutorial"),
        train=TrainSettings(
            epochs=256,
            batch_size=128,
            optimizer=OptimizerSettings(name="sgd", learning_rate=0.1, weight_decay=0.004),
            schedule=ScheduleSettings(name="step", every=350.0, factor=0.1),
            average=0.9999,
        ),
        published=Published(
            metric="accuracy", value=0.86, source="TensorFlow's CIFAR-10 tutorial, after 100 000 steps"
        ),
    )


def cifar10_tutorial_small() -> Recipe:
    """The average of the weights looks back over some hundred updates, as there are 1 580 in all."""
    recipe = cifar10_tutorial()
    return replace(
        recipe,
        name="cifar10-tutorial-small",
        about="The same network: 10 000 pictures, 20 epochs, for a CPU.",
        data=SMALL_ROWS,
        train=replace(recipe.train, epochs=20, average=0.99),
        published=None,
    )


def cifar10_fast() -> Recipe:
    """Jordan 2024 (airbench94): 94.01 % after 9.9 epochs, mean of 1000 runs, with an optimiser and averages over shifted and
    mirrored test pictures that are not here; so there are 16 epochs. Its rate of 11.5 and decay of 0.0153, which are counted
    per 1024 rows and before the momentum's gain, are 1.5 and 0.00133 in the usual way of counting."""
    return Recipe(
        name="cifar10-fast",
        about="A whitened first layer and six large convolutions: few epochs; 1 971 352 parameters.",
        data=ALL_ROWS,
        task=TaskSettings(name="image-classification", options={"normalize": "standardize", "label_smoothing": 0.2}),
        model=ModelSettings(name="fast_cifar"),
        augment=AugmentSettings(pad=2, flip_horizontal=0.5, fill="reflect"),
        train=TrainSettings(
            epochs=16,
            batch_size=1024,
            optimizer=OptimizerSettings(
                name="sgd", learning_rate=1.5, momentum=0.85, nesterov=True, weight_decay=1.33e-3
            ),
            schedule=ScheduleSettings(name="one_cycle", peak_at=0.23, start=0.2, final=0.01),
        ),
        published=Published(metric="accuracy", value=0.9401, source="Jordan 2024, airbench94 (9.9 epochs, n=1000)"),
    )


def cifar10_fast_small() -> Recipe:
    recipe = cifar10_fast()
    return replace(
        recipe,
        name="cifar10-fast-small",
        about="The same network: 10 000 pictures, 8 epochs, for a CPU.",
        data=SMALL_ROWS,
        train=replace(
            recipe.train,
            epochs=8,
            batch_size=128,
            optimizer=replace(recipe.train.optimizer, learning_rate=0.2),  # in proportion to the batch
        ),
        published=None,
    )
