"""The lessons by name, in the order in which they are best read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lesson:
    """One lesson of the table.

    module: its file in this package; title: what the page is called; shows: the idea in one line; books: the sections of
    the texts that it stands for, as `docs/books.md` names them
    """

    module: str
    title: str
    shows: str
    books: tuple[str, ...]


# subject -> name -> lesson
SUBJECTS: dict[str, dict[str, Lesson]] = {
    "Linear models and descent": {
        "neuron": Lesson(
            "neuron",
            "One neuron",
            "a neuron is a weighted sum and a bend, and a sum alone can rank customers",
            (
                "Plain Talk §1.2, §2.1.1",
                "Principles and Practice §2.1.2, §2.1.3",
            ),
        ),
        "linear-regression": Lesson(
            "linear_regression",
            "A line through ten points",
            "least squares and gradient descent find the same line, and what its error is",
            ("Plain Talk §1.2, §4.2",),
        ),
        "descent-1d": Lesson(
            "descent_1d",
            "Downhill in one dimension",
            "steps along the slope, how long they may be, and what a slope is without calculus",
            (
                "Plain Talk §4.2",
                "Principles and Practice §2.3.1, §3.3.1",
                "Deep Learning with Python, 1st ed., §2.4",
                "Course notes §1.2.4",
            ),
        ),
        "descent-2d": Lesson(
            "descent_2d",
            "Downhill in two dimensions",
            "in a long valley the steep direction limits the step and the flat one takes the time",
            (
                "Plain Talk §4.2",
                "Principles and Practice §2.3.1",
                "Deep Learning with Python, 1st ed., §2.4.3",
                "Course notes §1.2.4",
            ),
        ),
        "newton": Lesson(
            "newton",
            "Newton's method",
            "tangents find a root in a few steps, parabolas a minimum, and both can go astray",
            ("Plain Talk §4.2",),
        ),
        "plateaus-and-saddles": Lesson(
            "plateaus_and_saddles",
            "Where descent stalls",
            "local minima, saddles and plateaus, and what momentum and Adam do about them",
            (
                "Deep Learning with Python, 1st ed., §2.4.3",
                "Course notes §2.2.9",
                "Plain Talk §4.4",
            ),
        ),
    },
    "First networks": {
        "forward-and-backward": Lesson(
            "forward_and_backward",
            "Forward and backward, with every number",
            "four equations carry the error back through a network, and differences confirm each slope",
            (
                "Principles and Practice §2.2, §2.3",
                "Course notes §1.2.6",
            ),
        ),
        "chain-net": Lesson(
            "chain_net",
            "Two neurons learn ten pairs",
            "the chain rule for four weights, what one missing factor does, and a step that is too large",
            ("Plain Talk §4.3",),
        ),
        "two-moons": Lesson(
            "two_moons",
            "Two illnesses, two measurements",
            "a hidden layer bends the border between classes, and too many neurons bend it too much",
            ("Principles and Practice §2.4",),
        ),
        "logic-gates": Lesson(
            "logic_gates",
            "Neurons as logic gates",
            "AND, OR and NOT are one neuron each, XOR is none, and NAND builds everything",
            (
                "Plain Talk §5.3.2",
                "Principles and Practice §2.1.1",
            ),
        ),
        "snowflake": Lesson(
            "snowflake",
            "A snowflake from six lines",
            "lines, ANDs and an OR draw any straight-edged figure; how many colourings one line can make",
            ("Plain Talk §2.3.2, §5.3.1, §5.3.3",),
        ),
        "universal-approximation": Lesson(
            "universal_approximation",
            "Any curve with one hidden layer",
            "bumps of sigmoids and pieces of ReLU follow a curve as closely as there are neurons",
            (
                "Plain Talk §5.3",
                "Course notes §1.3.4",
            ),
        ),
        "why-depth": Lesson(
            "why_depth",
            "Why layers",
            "layers without bends collapse, equal neurons stay equal, and depth folds what width cannot",
            ("Course notes §1.3.4, §1.3.6, §1.4.1",),
        ),
        "computation-graph": Lesson(
            "computation_graph",
            "A formula as a graph",
            "values go forward, derivatives come back: J = 3 (a + bc), f = (x + y) z, a neuron",
            ("Course notes §1.2.5", "Principles and Practice §2.3.3"),
        ),
    },
    "Data and representations": {
        "feature-relevance": Lesson(
            "feature_relevance",
            "Rain and the price of rice",
            "a network cannot learn what its inputs do not tell",
            ("Plain Talk §5.3.3",),
        ),
        "bad-splits": Lesson(
            "bad_splits",
            "Held-out rows that prove nothing",
            "rows in order, mixed-up time and copies give wrong scores",
            ("Deep Learning with Python, 1st ed., §4.2.2, §4.5.1, §4.5.5",),
        ),
        "coordinate-change": Lesson(
            "coordinate_change",
            "Learning as a change of coordinates",
            "a search over turned and shifted axes, and a ball of paper unfolded",
            ("Deep Learning with Python, 1st ed., §1.1.3, §2.3.5, §2.3.6",),
        ),
        "clock-hands": Lesson(
            "clock_hands",
            "Three ways to show a clock",
            "pixels need hundreds of examples, hand tips a few, angles none",
            ("Deep Learning with Python, 1st ed., §4.3.2",),
        ),
        "autoencoder-8-3-8": Lesson(
            "autoencoder_8_3_8",
            "Eight symbols through three neurons",
            "a network invents a binary code, and patterns say more than single neurons",
            ("Deep Learning and Computer Vision §4.1.8",),
        ),
        "hidden-layer-representations": Lesson(
            "hidden_layer_representations",
            "What the layers of a classifier say",
            "layer by layer the classes become easier to tell apart",
            ("Deep Learning with Python, 1st ed., §1.1.4",),
        ),
    },
    "Training": {
        "activation-gallery": Lesson(
            "activation_gallery",
            "Activation functions, and how a unit dies",
            "every activation with its slope, where it is flat, and which to take",
            ("Plain Talk §2.1.2, §7.3", "Principles and Practice §3.1", "course notes §1.3.5, §1.4.2"),
        ),
        "loss-gallery": Lesson(
            "loss_gallery",
            "What a mistake costs",
            "losses against the residual and the margin, and why a sigmoid wants the cross-entropy",
            ("Principles and Practice §3.2, fig. 3-7", "course notes §1.2.3", "Plain Talk §6.8.2"),
        ),
        "entropy": Lesson(
            "entropy",
            "Surprise, entropy, cross-entropy",
            "how unsure a distribution is, and why that makes a loss that begins at ln C",
            ("Plain Talk §6.8.2", "course notes §2.3.8, §2.3.9"),
        ),
        "initialisation": Lesson(
            "initialisation",
            "How large the first weights are",
            "what random weights do to sums, why zeros never learn, and three nets on two rings",
            (
                "Principles and Practice §3.4.4, listings 3-20 to 3-22",
                "course notes §1.3.6, §2.1.7, §2.1.9",
                "Plain Talk §7.5",
            ),
        ),
        "vanishing-gradients": Lesson(
            "vanishing_gradients",
            "What is left of a gradient after twenty layers",
            "a product of many factors vanishes or explodes, and what keeps it near one",
            ("Plain Talk §7.3, §9.1", "course notes §2.1.7, §4.2.5", "Deep Learning and Computer Vision §4.5.2"),
        ),
        "gradient-checking": Lesson(
            "gradient_checking",
            "Is the gradient right?",
            "backpropagation against differences of the loss, planted mistakes, and when the check itself is wrong",
            ("course notes §2.1.8, §2.1.11", "Plain Talk §4.2, §7.3"),
        ),
        "vectorisation": Lesson(
            "vectorisation",
            "One call instead of a loop",
            "loops against vectors, broadcasting, rotation, and the shapes of tensors",
            ("course notes §1.2.1, §1.2.7, §1.2.9", "Deep Learning with Python §2.2, §2.3", "Plain Talk §5.2"),
        ),
        "normalisation": Lesson(
            "normalisation",
            "Columns on one scale",
            "what centring, scaling, turning and whitening do to points and to the way down",
            ("Principles and Practice §3.4.3, listings 3-15 to 3-19", "course notes §2.1.6", "Plain Talk §7.4"),
        ),
        "batch-normalisation": Lesson(
            "batch_normalisation",
            "Normalising inside the network",
            "sums brought to where the sigmoid is steep, batch by batch, and what use needs instead of a batch",
            ("course notes §2.3.5 to §2.3.7", "Deep Learning and Computer Vision §4.4.4, fig. 4-20", "Plain Talk §7.4"),
        ),
        "batch-size": Lesson(
            "batch_size",
            "How many rows before each step",
            "a batch is a sample, and an epoch uses every row once",
            ("Plain Talk §7.2", "course notes §2.2.1, §2.2.2, §2.2.10", "Principles and Practice §2.3.1"),
        ),
        "weighted-averages": Lesson(
            "weighted_averages",
            "An average that forgets",
            "exponentially weighted averages of a noisy year, and their start",
            ("course notes §2.2.3, §2.2.4",),
        ),
        "optimiser-race": Lesson(
            "optimiser_race",
            "Six optimisers, the same gradients",
            "descent, momentum, Nesterov, RMSprop, Adagrad and Adam on a bowl, in a valley, at a saddle, on a network",
            (
                "course notes §2.2.5 to §2.2.9, §2.2.13",
                "Principles and Practice §3.3.2",
                "Deep Learning with Python §2.4.3",
            ),
        ),
        "learning-rate-decay": Lesson(
            "learning_rate_decay",
            "Large steps first, small ones later",
            "four schedules, and why a constant rate never arrives where gradients are noisy",
            ("course notes §2.2.8", "Principles and Practice §3.3.1", "Plain Talk §7.7"),
        ),
        "search-grid-random": Lesson(
            "search_grid_random",
            "Grid or random?",
            "where to spend a budget of trials, and on which scale to draw",
            ("course notes §2.3.1 to §2.3.4",),
        ),
        "regularisation": Lesson(
            "regularisation",
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
            "dropout",
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
            "ensembles_of_paths",
            "A residual network as many short ones",
            "two to the n paths, their gradients, and what removing a block does",
            ("Deep Learning and Computer Vision §4.5.4, fig. 4-22",),
        ),
    },
    "Convolution and pictures": {
        "convolution-1d": Lesson(
            "convolution_1d",
            "Flip, shift, multiply, area",
            "what a convolution is, for functions and for lists, and that cross-correlation does not commute",
            ("Plain Talk §6.2", "Deep Learning and Computer Vision §4.1.2"),
        ),
        "convolution": Lesson(
            "convolution",
            "A kernel slides over a picture",
            "what edge kernels, blur and colour kernels see, and how nine weights are learned",
            (
                "Plain Talk §6.3",
                "Principles and Practice §4.2",
                "Course notes §4.1.2 to §4.1.8",
                "Deep Learning and Computer Vision §4.1.3",
            ),
        ),
        "padding-and-stride": Lesson(
            "padding_and_stride",
            "Rims, steps and holes",
            "how large the output of a convolution is, and how often each pixel is read",
            (
                "Plain Talk §6.4",
                "Principles and Practice §4.2.1, §5.2.4",
                "Course notes §4.1.5, §4.1.6, §4.1.10, §4.4.12",
            ),
        ),
        "im2col": Lesson(
            "im2col",
            "A convolution as one product",
            "windows as columns, the sparse matrix behind a convolution, and what both save",
            ("Principles and Practice §4.2.3", "Deep Learning and Computer Vision §4.1.4"),
        ),
        "pooling": Lesson(
            "pooling",
            "One number for a window",
            "max, mean, stochastic and chunk pooling, overlapping windows, and what pooling forgives",
            (
                "Plain Talk §6.5",
                "Principles and Practice §4.3.4",
                "Course notes §4.1.11, §4.1.12",
                "Deep Learning and Computer Vision §4.1.7",
            ),
        ),
        "receptive-fields": Lesson(
            "receptive_fields",
            "What one unit sees",
            "how the receptive field grows with layers, strides and dilation, to 404 pixels in VGG16",
            ("Principles and Practice §4.3.2, §6.1.1", "Deep Learning and Computer Vision §4.1.7"),
        ),
        "counting-parameters": Lesson(
            "counting_parameters",
            "Counting weights",
            "what local windows and shared weights save, and parameter tables that add up",
            ("Principles and Practice §4.3", "Plain Talk §6.9, §7.1", "Course notes §4.1.13, §4.2.2"),
        ),
        "one-by-one-convolution": Lesson(
            "one_by_one_convolution",
            "A kernel of one pixel",
            "a 1 × 1 convolution is a dense layer at every pixel, and makes others cheap",
            ("Course notes §4.2.7, §4.2.9", "Deep Learning and Computer Vision §4.4.1"),
        ),
        "dense-as-convolution": Lesson(
            "dense_as_convolution",
            "A classifier that reads a whole canvas",
            "a dense layer is a convolution as large as its input, so one pass answers for every place",
            ("Course notes §4.3.4, §4.3.5",),
        ),
        "gabor-and-activations": Lesson(
            "gabor_and_activations",
            "Stripes, jets and the sign",
            "Gabor kernels, three activations after a template, and that the map moves with the picture",
            ("Deep Learning and Computer Vision §4.1.2, §4.1.5, §4.1.6",),
        ),
        "perturbation": Lesson(
            "perturbation",
            "A small change, layer by layer",
            "how far the maps of a trained network move when the picture is edited, measured by depth",
            ("Plain Talk §6.7",),
        ),
    },
    "Classes and measures": {
        "softmax-and-classes": Lesson(
            "softmax_and_classes",
            "From scores to shares",
            "softmax and hardmax, the straight borders of 3 to 6 classes, and the gradient p − y",
            ("Course notes §2.3.8, §2.3.9", "Plain Talk §6.8"),
        ),
        "confusion-and-f1": Lesson(
            "confusion_and_f1",
            "What a classifier confuses",
            "precision, recall, F1, errors that weigh more, and the best within a limit",
            ("Plain Talk §1.3", "Course notes §3.1.3, §3.1.4, §3.1.7"),
        ),
    },
    "Sequences": {
        "recurrent-memory": Lesson(
            "recurrent_memory",
            "What a recurrent network remembers",
            "gradients through time, cut off or whole, how they fade in RNN, LSTM and GRU, and a memory task",
            ("Principles and Practice §7.4", "Deep Learning with Python §6.2", "Course notes §5.1.3 to §5.1.11"),
        ),
        "ctc": Lesson(
            "ctc",
            "Spelling without knowing when",
            "the collapse rule, the paths of a word, the table that adds them up, and greedy decoding",
            ("Principles and Practice §8.6.4", "Course notes §5.3.10"),
        ),
        "attention-by-hand": Lesson(
            "attention_by_hand",
            "Four words that ask one another",
            "scaled dot-product attention in numbers, masks, the additive form, and why to divide by √d",
            ("Principles and Practice §8.5.3", "Course notes §5.3.7 to §5.3.9"),
        ),
        "word-vectors": Lesson(
            "word_vectors",
            "Words by their neighbours",
            "co-occurrence, GloVe, analogies and negative sampling on a little made-up text",
            ("Course notes §5.2.1 to §5.2.7", "Deep Learning and Computer Vision §4.1.9"),
        ),
    },
}
LESSONS: dict[str, Lesson] = {name: lesson for lessons in SUBJECTS.values() for name, lesson in lessons.items()}
