"""The lessons by name, in the order in which they are best read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lesson:
    """One lesson of the table.

    title: what the page is called; shows: the idea in one line; books: the sections of the texts that it stands for, as
    `docs/books.md` names them
    """

    title: str
    shows: str
    books: tuple[str, ...]


# subject -> name -> lesson; "descent-1d" stands in descent_1d.py
SUBJECTS: dict[str, dict[str, Lesson]] = {
    "Linear models and descent": {
        "neuron": Lesson(
            "One neuron",
            "a neuron is a weighted sum and a bend, and a sum alone can rank customers",
            (
                "Plain Talk §1.2, §2.1.1",
                "Principles and Practice §2.1.2, §2.1.3",
            ),
        ),
        "linear-regression": Lesson(
            "A line through ten points",
            "least squares and gradient descent find the same line, and what its error is",
            ("Plain Talk §1.2, §4.2",),
        ),
        "descent-1d": Lesson(
            "Downhill in one dimension",
            "steps along the slope, how long they may be, and what a slope is without calculus",
            (
                "Plain Talk §4.2",
                "Principles and Practice §2.3.1, §3.3.1",
                "Deep Learning with Python, 1st ed., §2.4",
                "course notes §1.2.4",
            ),
        ),
        "descent-2d": Lesson(
            "Downhill in two dimensions",
            "in a long valley the steep direction limits the step and the flat one takes the time",
            (
                "Plain Talk §4.2",
                "Principles and Practice §2.3.1",
                "Deep Learning with Python, 1st ed., §2.4.3",
                "course notes §1.2.4",
            ),
        ),
        "newton": Lesson(
            "Newton's method",
            "tangents find a root in a few steps, parabolas a minimum, and both can go astray",
            ("Plain Talk §4.2",),
        ),
        "plateaus-and-saddles": Lesson(
            "Where descent stalls",
            "local minima, saddles and plateaus, and what momentum and Adam do about them",
            (
                "Deep Learning with Python, 1st ed., §2.4.3",
                "course notes §2.2.9",
                "Plain Talk §4.4",
            ),
        ),
    },
    "First networks": {
        "forward-and-backward": Lesson(
            "Forward and backward, with every number",
            "four equations carry the error back through a network, and differences confirm each slope",
            (
                "Principles and Practice §2.2, §2.3",
                "course notes §1.2.6",
            ),
        ),
        "chain-net": Lesson(
            "Two neurons learn ten pairs",
            "the chain rule for four weights, what one missing factor does, and a step that is too large",
            ("Plain Talk §4.3",),
        ),
        "two-moons": Lesson(
            "Two illnesses, two measurements",
            "a hidden layer bends the border between classes, and too many neurons bend it too much",
            ("Principles and Practice §2.4",),
        ),
        "logic-gates": Lesson(
            "Neurons as logic gates",
            "AND, OR and NOT are one neuron each, XOR is none, and NAND builds everything",
            (
                "Plain Talk §5.3.2",
                "Principles and Practice §2.1.1",
            ),
        ),
        "snowflake": Lesson(
            "A snowflake from six lines",
            "lines, ANDs and an OR draw any straight-edged figure; how many colourings one line can make",
            ("Plain Talk §2.3.2, §5.3.1, §5.3.3",),
        ),
        "universal-approximation": Lesson(
            "Any curve with one hidden layer",
            "bumps of sigmoids and pieces of ReLU follow a curve as closely as there are neurons",
            (
                "Plain Talk §5.3",
                "course notes §1.3.4",
            ),
        ),
        "why-depth": Lesson(
            "Why layers",
            "layers without bends collapse, equal neurons stay equal, and depth folds what width cannot",
            ("course notes §1.3.4, §1.3.6, §1.4.1",),
        ),
        "computation-graph": Lesson(
            "A formula as a graph",
            "values go forward, derivatives come back: J = 3 (a + bc), f = (x + y) z, a neuron",
            ("course notes §1.2.5", "Principles and Practice §2.3.3"),
        ),
    },
    "Data and representations": {
        "feature-relevance": Lesson(
            "Rain and the price of rice",
            "a network cannot learn what its inputs do not tell",
            ("Plain Talk §5.3.3",),
        ),
        "bad-splits": Lesson(
            "Held-out rows that prove nothing",
            "rows in order, mixed-up time and copies give wrong scores",
            ("Deep Learning with Python, 1st ed., §4.2.2, §4.5.1, §4.5.5",),
        ),
        "coordinate-change": Lesson(
            "Learning as a change of coordinates",
            "a search over turned and shifted axes, and a ball of paper unfolded",
            ("Deep Learning with Python, 1st ed., §1.1.3, §2.3.5, §2.3.6",),
        ),
        "clock-hands": Lesson(
            "Three ways to show a clock",
            "pixels need hundreds of examples, hand tips a few, angles none",
            ("Deep Learning with Python, 1st ed., §4.3.2",),
        ),
        "autoencoder-8-3-8": Lesson(
            "Eight symbols through three neurons",
            "a network invents a binary code, and patterns say more than single neurons",
            ("Deep Learning and Computer Vision §4.1.8",),
        ),
        "hidden-layer-representations": Lesson(
            "What the layers of a classifier say",
            "layer by layer the classes become easier to tell apart",
            ("Deep Learning with Python, 1st ed., §1.1.4",),
        ),
    },
    "Training": {
        "activation-gallery": Lesson(
            "Activation functions, and how a unit dies",
            "every activation with its slope, where it is flat, and which to take",
            ("Plain Talk §2.1.2, §7.3", "Principles and Practice §3.1", "course notes §1.3.5, §1.4.2"),
        ),
        "loss-gallery": Lesson(
            "What a mistake costs",
            "losses against the residual and the margin, and why a sigmoid wants the cross-entropy",
            ("Principles and Practice §3.2, fig. 3-7", "course notes §1.2.3", "Plain Talk §6.8.2"),
        ),
        "entropy": Lesson(
            "Surprise, entropy, cross-entropy",
            "how unsure a distribution is, and why that makes a loss that begins at ln C",
            ("Plain Talk §6.8.2", "course notes §2.3.8, §2.3.9"),
        ),
        "initialisation": Lesson(
            "How large the first weights are",
            "what random weights do to sums, why zeros never learn, and three nets on two rings",
            (
                "Principles and Practice §3.4.4, listings 3-20 to 3-22",
                "course notes §1.3.6, §2.1.7, §2.1.9",
                "Plain Talk §7.5",
            ),
        ),
        "vanishing-gradients": Lesson(
            "What is left of a gradient after twenty layers",
            "a product of many factors vanishes or explodes, and what keeps it near one",
            ("Plain Talk §7.3, §9.1", "course notes §2.1.7, §4.2.5", "Deep Learning and Computer Vision §4.5.2"),
        ),
        "gradient-checking": Lesson(
            "Is the gradient right?",
            "backpropagation against differences of the loss, planted mistakes, and when the check itself is wrong",
            ("course notes §2.1.8, §2.1.11", "Plain Talk §4.2, §7.3"),
        ),
        "vectorisation": Lesson(
            "One call instead of a loop",
            "loops against vectors, broadcasting, rotation, and the shapes of tensors",
            ("course notes §1.2.1, §1.2.7, §1.2.9", "Deep Learning with Python §2.2, §2.3", "Plain Talk §5.2"),
        ),
        "normalisation": Lesson(
            "Columns on one scale",
            "what centring, scaling, turning and whitening do to points and to the way down",
            ("Principles and Practice §3.4.3, listings 3-15 to 3-19", "course notes §2.1.6", "Plain Talk §7.4"),
        ),
        "batch-normalisation": Lesson(
            "Normalising inside the network",
            "sums brought to where the sigmoid is steep, batch by batch, and what use needs instead of a batch",
            ("course notes §2.3.5 to §2.3.7", "Deep Learning and Computer Vision §4.4.4, fig. 4-20", "Plain Talk §7.4"),
        ),
        "batch-size": Lesson(
            "How many rows before each step",
            "a batch is a sample, and an epoch uses every row once",
            ("Plain Talk §7.2", "course notes §2.2.1, §2.2.2, §2.2.10", "Principles and Practice §2.3.1"),
        ),
        "weighted-averages": Lesson(
            "An average that forgets",
            "exponentially weighted averages of a noisy year, and their start",
            ("course notes §2.2.3, §2.2.4",),
        ),
        "optimiser-race": Lesson(
            "Six optimisers, the same gradients",
            "descent, momentum, Nesterov, RMSprop, Adagrad and Adam on a bowl, in a valley, at a saddle, on a network",
            (
                "course notes §2.2.5 to §2.2.9, §2.2.13",
                "Principles and Practice §3.3.2",
                "Deep Learning with Python §2.4.3",
            ),
        ),
        "learning-rate-decay": Lesson(
            "Large steps first, small ones later",
            "four schedules, and why a constant rate never arrives where gradients are noisy",
            ("course notes §2.2.8", "Principles and Practice §3.3.1", "Plain Talk §7.7"),
        ),
        "search-grid-random": Lesson(
            "Grid or random?",
            "where to spend a budget of trials, and on which scale to draw",
            ("course notes §2.3.1 to §2.3.4",),
        ),
        "regularisation": Lesson(
            "Fitting the wave and not the noise",
            "L1, L2, max-norm, dropout, early stopping and more data on the same few points",
            (
                "course notes §2.1.1 to §2.1.3, §2.1.10",
                "Principles and Practice §3.4.5 to §3.5, fig. 3-18",
                "Deep Learning with Python §4.4",
                "Plain Talk §7.6",
            ),
        ),
        "dropout": Lesson(
            "Units switched off at random",
            "masks, the two ways to keep the mean, and the thousand networks in one",
            (
                "course notes §2.1.4",
                "Deep Learning with Python §4.4.3",
                "Principles and Practice §3.4.6",
                "Plain Talk §7.9",
            ),
        ),
        "ensembles-of-paths": Lesson(
            "A residual network as many short ones",
            "two to the n paths, their gradients, and what removing a block does",
            ("Deep Learning and Computer Vision §4.5.4, fig. 4-22",),
        ),
    },
    "Convolution and pictures": {
        "convolution-1d": Lesson(
            "Flip, shift, multiply, area",
            "what a convolution is, for functions and for lists, and that cross-correlation does not commute",
            ("Plain Talk §6.2", "Deep Learning and Computer Vision §4.1.2"),
        ),
        "convolution": Lesson(
            "A kernel slides over a picture",
            "what edge kernels, blur and colour kernels see, and how nine weights are learned",
            (
                "Plain Talk §6.3",
                "Principles and Practice §4.2",
                "course notes §4.1.2 to §4.1.8",
                "Deep Learning and Computer Vision §4.1.3",
            ),
        ),
        "padding-and-stride": Lesson(
            "Rims, steps and holes",
            "how large the output of a convolution is, and how often each pixel is read",
            (
                "Plain Talk §6.4",
                "Principles and Practice §4.2.1, §5.2.4",
                "course notes §4.1.5, §4.1.6, §4.1.10, §4.4.12",
            ),
        ),
        "im2col": Lesson(
            "A convolution as one product",
            "windows as columns, the sparse matrix behind a convolution, and what both save",
            ("Principles and Practice §4.2.3", "Deep Learning and Computer Vision §4.1.4"),
        ),
        "segmentation-without-learning": Lesson(
            "Parts of a picture",
            "thresholds, growing, clusters, a least cut side by side, and the CRF step by step",
            ("Principles and Practice §5.2.1, §5.2.4",),
        ),
        "pooling": Lesson(
            "One number for a window",
            "max, mean, stochastic and chunk pooling, overlapping windows, and what pooling forgives",
            (
                "Plain Talk §6.5",
                "Principles and Practice §4.3.4",
                "course notes §4.1.11, §4.1.12",
                "Deep Learning and Computer Vision §4.1.7",
            ),
        ),
        "receptive-fields": Lesson(
            "What one unit sees",
            "how the receptive field grows with layers, strides and dilation, to 404 pixels in VGG16",
            ("Principles and Practice §4.3.2, §6.1.1", "Deep Learning and Computer Vision §4.1.7"),
        ),
        "counting-parameters": Lesson(
            "Counting weights",
            "what local windows and shared weights save, and parameter tables that add up",
            ("Principles and Practice §4.3", "Plain Talk §6.9, §7.1", "course notes §4.1.13, §4.2.2"),
        ),
        "one-by-one-convolution": Lesson(
            "A kernel of one pixel",
            "a 1 × 1 convolution is a dense layer at every pixel, and makes others cheap",
            ("course notes §4.2.7, §4.2.9", "Deep Learning and Computer Vision §4.4.1"),
        ),
        "dense-as-convolution": Lesson(
            "A classifier that reads a whole canvas",
            "a dense layer is a convolution as large as its input, so one pass answers for every place",
            ("course notes §4.3.4, §4.3.5",),
        ),
        "gabor-and-activations": Lesson(
            "Stripes, jets and the sign",
            "Gabor kernels, three activations after a template, and that the map moves with the picture",
            ("Deep Learning and Computer Vision §4.1.2, §4.1.5, §4.1.6",),
        ),
        "simple-and-complex-cells": Lesson(
            "Cells for a place, cells for a region",
            "what Hubel and Wiesel found, as a Gabor kernel and a local maximum",
            ("Deep Learning and Computer Vision §4.1.1, fig. 4-1",),
        ),
        "perturbation": Lesson(
            "A small change, layer by layer",
            "how far the maps of a trained network move when the picture is edited, measured by depth",
            ("Plain Talk §6.7",),
        ),
    },
    "Objects in pictures": {
        "selective-search": Lesson(
            "Boxes from pieces",
            "a picture is cut into pieces, the most alike are joined, and every region on the way is a box",
            ("Principles and Practice §5.1, §5.4, figs 5-27 to 5-31",),
        ),
        "anchors-and-grids": Lesson(
            "Anchors and grids",
            "which anchor or cell answers for which object, and the numbers that say how",
            ("Principles and Practice §5.1, figs 5-7, 5-10, 5-12", "course notes §4.3.6, §4.3.10"),
        ),
        "suppression": Lesson(
            "One box for one object",
            "of boxes that overlap only the best stays, or the others lose score",
            ("Principles and Practice §5.3, figs 5-25, 5-26", "course notes §4.3.7 to §4.3.9"),
        ),
    },
    "Classes and measures": {
        "softmax-and-classes": Lesson(
            "From scores to shares",
            "softmax and hardmax, the straight borders of 3 to 6 classes, and the gradient p − y",
            ("course notes §2.3.8, §2.3.9", "Plain Talk §6.8"),
        ),
        "confusion-and-f1": Lesson(
            "What a classifier confuses",
            "precision, recall, F1, errors that weigh more, and the best within a limit",
            ("Plain Talk §1.3", "course notes §3.1.3, §3.1.4, §3.1.7"),
        ),
    },
    "Games": {
        "two-players": Lesson(
            "Two players",
            "a cake for two, the best judge says one half, and a maker and a judge that find their balance",
            ("Plain Talk §12.1, §12.2",),
        ),
    },
    "Where things are": {
        "template-matching": Lesson(
            "Five planes by one crop",
            "a crop without its mean, correlated with the picture, has its maxima where the things are",
            ("Deep Learning and Computer Vision §4.1.2",),
        ),
        "classification-to-detection": Lesson(
            "From what to where",
            "eight numbers for one object, all windows in one pass, and one box for each of two cars",
            ("course notes §4.3.1 to §4.3.5, §4.3.9",),
        ),
    },
    "Sequences": {
        "recurrent-memory": Lesson(
            "What a recurrent network remembers",
            "gradients through time, cut off or whole, how they fade in RNN, LSTM and GRU, and a memory task",
            ("Principles and Practice §7.4", "Deep Learning with Python §6.2", "course notes §5.1.3 to §5.1.11"),
        ),
        "recurrent-shapes": Lesson(
            "What can be read and written",
            "five shapes of recurrent networks, reading from both ends, layers on layers, and what each costs",
            (
                "Principles and Practice §7.2, §7.4",
                "Deep Learning with Python §6.2",
                "course notes §5.1.7, §5.1.12, §5.1.13",
            ),
        ),
        "gates-by-hand": Lesson(
            "Gates, one at a time",
            "a cell that keeps, one that drops an old subject, the LSTM as told and as it is, and the GRU's two senses",
            ("Principles and Practice §8.2, §8.3", "Deep Learning with Python §6.2.2", "Plain Talk §8.3"),
        ),
        "temperature": Lesson(
            "How daring the next word is",
            "sampling at a temperature, its entropy from greedy to uniform, and what a tail of rare words does",
            ("Deep Learning with Python §8.1.2", "course notes §5.1.15"),
        ),
        "hidden-dice": Lesson(
            "Which die was it?",
            "a hidden Markov model of dice: rolled, decoded, learnt with and without seeing the dice",
            ("Plain Talk §8.1",),
        ),
        "ctc": Lesson(
            "Spelling without knowing when",
            "the collapse rule, the paths of a word, the table that adds them up, and greedy decoding",
            ("Principles and Practice §8.6.4", "course notes §5.3.10"),
        ),
        "attention-by-hand": Lesson(
            "Four words that ask one another",
            "scaled dot-product attention in numbers, masks, the additive form, and why to divide by √d",
            ("Principles and Practice §8.5.3", "course notes §5.3.7 to §5.3.9"),
        ),
        "word-vectors": Lesson(
            "Words by their neighbours",
            "co-occurrence, GloVe, analogies and negative sampling on a little made-up text",
            ("course notes §5.2.1 to §5.2.7", "Deep Learning and Computer Vision §4.1.9"),
        ),
    },
    "Energy and chance": {
        "likelihood-and-odds": Lesson(
            "Eighty white balls of a hundred",
            "the likelihood has its peak where nothing surprises, and the logarithm of odds is a line",
            ("Plain Talk §10.2 to §10.4",),
        ),
        "boltzmann-machine": Lesson(
            "A machine that learns what is likely",
            "the exact likelihood of a small Boltzmann machine while it learns by CD-1, CD-10 and persistent chains",
            ("Plain Talk §10.1, §10.5",),
        ),
        "hopfield": Lesson(
            "A memory that is asked with a part",
            "digits recalled from noise, how much a network holds, and what it makes up",
            ("Plain Talk ch. 10",),
        ),
    },
    "Acting and rewards": {
        "decisions": Lesson(
            "What a decision is worth",
            "expected rewards, value iteration sweep by sweep, when to stop, and how large the table of a whole game is",
            ("Plain Talk §11.2",),
        ),
        "rewards-travel-back": Lesson(
            "A reward at the end reaches the beginning",
            "greed against Q-learning on two decision trees, a corridor, and what α and γ do",
            ("Plain Talk §11.2, §11.3",),
        ),
        "beside-a-cliff": Lesson(
            "Beside a cliff",
            "Q-learning walks along the edge, SARSA keeps away from it, and who never tries anything keeps what paid first",
            ("Plain Talk §11.2, §11.3",),
        ),
    },
}
LESSONS: dict[str, Lesson] = {name: lesson for lessons in SUBJECTS.values() for name, lesson in lessons.items()}


def module_of(name: str) -> str:
    """The file of a lesson in this package, without its ending."""
    return name.replace("-", "_")
