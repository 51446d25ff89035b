"""How weights begin: every scheme of the texts, drawn from a `numpy.random.Generator`.

Shapes are those of this package: a dense weight is (n, m) for n inputs and m outputs, a convolution's (out, in, kh, kw). So
`fans` reads the fan-in, the inputs that one neuron adds up, from axis 0 of a dense weight and from axes 1... of a
convolution. (torch.nn.Linear stores the transpose, (m, n).)

Why the fan-in: z = sum of n products w x has the variance n Var(w) E[x^2], so Var(w) = 1/n keeps the size of the signal from
layer to layer, and 2/n does so after ReLU, which takes away half of it. Not the number of neurons of the layer itself:
*Plain Talk* §7.5 says so, but its code divides by the 500 of the layer before.
"""

from __future__ import annotations

import math

import numpy as np

from gradus.reference.catalogue import Entry

Shape = tuple[int, ...]

# of a standard normal variable that is drawn again while it is beyond +-2: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1))
TRUNCATED_DEVIATION = math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))  # 0.8796


def fans(shape: Shape) -> tuple[int, int]:
    """(fan-in, fan-out): of a dense weight (n, m) the pair itself, of a convolution the channels times the field."""
    if len(shape) < 2:
        raise ValueError(f"fans: a weight has two or more dimensions, received the shape {shape}")
    if len(shape) == 2:
        return shape[0], shape[1]
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def zeros(shape: Shape) -> np.ndarray:
    """All 0. Right for biases; with it the neurons of a layer stay copies of each other, since they get the same gradient."""
    return np.zeros(shape)


def constant(shape: Shape, value: float) -> np.ndarray:
    """All `value`: 0.1 for the biases before a ReLU in the CIFAR-10 network of *Plain Talk* §6.9."""
    return np.full(shape, float(value))


def normal(shape: Shape, generator: np.random.Generator, deviation: float = 1.0, mean: float = 0.0) -> np.ndarray:
    """N(mean, deviation^2). `standard_normal` takes the shape as a tuple; the old numpy.random.randn does not."""
    return mean + deviation * generator.standard_normal(shape)


def small_normal(shape: Shape, generator: np.random.Generator) -> np.ndarray:
    """N(0, 0.01^2): small sums, where a sigmoid is steep (course notes §1.3.6)."""
    return normal(shape, generator, 0.01)


def uniform(shape: Shape, generator: np.random.Generator, bound: float | None = None) -> np.ndarray:
    """Uniform in +-bound, whose deviation is bound/sqrt(3). None: +-1/sqrt(fan-in), as torch.nn.Linear and Conv2d draw."""
    bound = 1 / math.sqrt(fans(shape)[0]) if bound is None else bound
    return generator.uniform(-bound, bound, shape)


def scaled_normal(shape: Shape, generator: np.random.Generator, numerator: float = 1.0) -> np.ndarray:
    """N(0, u / fan-in) with u = `numerator` (course notes §2.1.7: randn * sqrt(u / n))."""
    return normal(shape, generator, math.sqrt(numerator / fans(shape)[0]))


def lecun_normal(shape: Shape, generator: np.random.Generator) -> np.ndarray:
    """N(0, 1 / fan-in), for tanh (LeCun et al. 1998, §4.6). The course notes call it Xavier's."""
    return scaled_normal(shape, generator, 1.0)


def he_normal(shape: Shape, generator: np.random.Generator) -> np.ndarray:
    """N(0, 2 / fan-in), for ReLU (He et al. 2015, eq. 10)."""
    return scaled_normal(shape, generator, 2.0)


def he_uniform(shape: Shape, generator: np.random.Generator) -> np.ndarray:
    """Uniform with the variance 2 / fan-in: +-sqrt(6 / fan-in)."""
    return uniform(shape, generator, math.sqrt(6 / fans(shape)[0]))


def glorot_normal(shape: Shape, generator: np.random.Generator, numerator: float = 2.0) -> np.ndarray:
    """N(0, u / (fan-in + fan-out)), u = 2 (Glorot and Bengio 2010, eq. 12): between what the way forth and the way back ask."""
    return normal(shape, generator, math.sqrt(numerator / sum(fans(shape))))


def glorot_uniform(shape: Shape, generator: np.random.Generator) -> np.ndarray:
    """Uniform in +-sqrt(6 / (fan-in + fan-out)) (Glorot and Bengio 2010, eq. 16; Keras' default)."""
    return uniform(shape, generator, math.sqrt(6 / sum(fans(shape))))


def truncated_normal(
    shape: Shape, generator: np.random.Generator, deviation: float = 1.0, corrected: bool = False
) -> np.ndarray:
    """N(0, deviation^2), each value drawn again while it is beyond 2 deviations (tf.truncated_normal).

    What remains has the standard deviation 0.8796 * deviation; `corrected` widens the draw so that it is `deviation`.
    """
    values = generator.standard_normal(shape)
    while (beyond := np.abs(values) > 2).any():
        values[beyond] = generator.standard_normal(int(beyond.sum()))
    return values * deviation / (TRUNCATED_DEVIATION if corrected else 1.0)


def identity(shape: Shape) -> np.ndarray:
    """A layer that hands on what it gets: ones on the diagonal of (n, m), or at the centre of each channel's own kernel.

    For layers that are stacked onto a trained network (*Deep Learning and Computer Vision*, §4.5.1). Fields have odd
    sides, so that they have a centre.
    """
    if len(shape) == 2:
        return np.eye(*shape)
    if any(side % 2 == 0 for side in shape[2:]):
        raise ValueError(f"identity: a kernel of sides {shape[2:]} has no centre; expected odd sides")
    weights = np.zeros(shape)
    centre = tuple(side // 2 for side in shape[2:])
    for channel in range(min(shape[0], shape[1])):
        weights[(channel, channel, *centre)] = 1
    return weights


def orthogonal(shape: Shape, generator: np.random.Generator, gain: float = 1.0) -> np.ndarray:
    """Rows (or, of a tall matrix, columns) of length `gain` at right angles (Saxe et al. 2014), even over all such matrices.

    A convolution (out, in, kh, kw) is taken as a matrix (out, in * kh * kw). QR gives R with signs of its own; they are
    divided out, without which the draw would not be even.
    """
    rows, columns = shape[0], math.prod(shape[1:])
    factor, triangle = np.linalg.qr(generator.standard_normal((max(rows, columns), min(rows, columns))))
    factor = factor * np.sign(np.diag(triangle))
    return gain * (factor if rows >= columns else factor.T).reshape(shape)


def _entry(name: str, function: str, formula: str, source: str, fast: str = "", note: str = "") -> Entry:
    return Entry(name=name, function=f"initializers.{function}", formula=formula, source=source, fast=fast, note=note)


CATALOGUE: tuple[Entry, ...] = (
    _entry(
        "zeros",
        "zeros",
        r"w = 0",
        "course notes §1.3.6; *Principles and Practice* §3.4.4",
        'gradus.nn.initialize(model, "zeros")',
        "for biases; as weights, the neurons of a layer never become different",
    ),
    _entry("constant", "constant", r"w = c", "*Plain Talk* §6.9 (biases 0.1)", "torch.nn.init.constant_"),
    _entry(
        "normal",
        "normal",
        r"w \sim N(\mu, \sigma^2)",
        "*Principles and Practice* listings 2-2, 3-20; *Plain Talk* §7.5",
        'gradus.nn.initialize(model, "unit_normal")',
        "listings 3-20 to 3-22 call rand (uniform in 0..1) where randn is meant; *Plain Talk* calls σ the variance",
    ),
    _entry(
        "small normal",
        "small_normal",
        r"w \sim N(0, 0.01^2)",
        "course notes §1.3.6",
        'gradus.nn.initialize(model, "normal")',
        "the notes give randn a tuple, which it refuses",
    ),
    _entry(
        "uniform",
        "uniform",
        r"w \sim U\left(-\frac{1}{\sqrt{n_{in}}}, \frac{1}{\sqrt{n_{in}}}\right)",
        "*Principles and Practice* listings 7-2, 8-1; LeCun et al. 1998",
        'gradus.nn.initialize(model, "pytorch")',
        "listing 7-2 takes the input width for all three matrices; each has its own fan-in",
    ),
    _entry(
        "scaled normal",
        "scaled_normal",
        r"w \sim N\left(0, \frac{u}{n_{in}}\right)",
        "course notes §2.1.7",
        "torch.nn.init.kaiming_normal_",
        "u = 1 for tanh, 2 for ReLU",
    ),
    _entry(
        "LeCun normal",
        "lecun_normal",
        r"w \sim N\left(0, \frac{1}{n_{in}}\right)",
        "LeCun et al. 1998, §4.6; *Principles and Practice* listing 3-22; *Plain Talk* §7.5",
        'gradus.nn.initialize(model, "lecun")',
        "*Plain Talk* says the neurons of this layer; its code has the fan-in",
    ),
    _entry(
        "He normal",
        "he_normal",
        r"w \sim N\left(0, \frac{2}{n_{in}}\right)",
        "He et al. 2015, eq. 10; course notes §2.1.7",
        'gradus.nn.initialize(model, "he")',
    ),
    _entry(
        "He uniform",
        "he_uniform",
        r"w \sim U\left(-\sqrt{\frac{6}{n_{in}}}, \sqrt{\frac{6}{n_{in}}}\right)",
        "He et al. 2015",
        'gradus.nn.initialize(model, "he_uniform")',
    ),
    _entry(
        "Glorot normal",
        "glorot_normal",
        r"w \sim N\left(0, \frac{2}{n_{in} + n_{out}}\right)",
        "Glorot and Bengio 2010, eq. 12; course notes §2.1.7",
        'gradus.nn.initialize(model, "glorot_normal")',
    ),
    _entry(
        "Glorot uniform",
        "glorot_uniform",
        r"w \sim U\left(-\sqrt{\frac{6}{n_{in} + n_{out}}}, \sqrt{\frac{6}{n_{in} + n_{out}}}\right)",
        "Glorot and Bengio 2010, eq. 16; *Principles and Practice* listing 8-24",
        'gradus.nn.initialize(model, "glorot")',
    ),
    _entry(
        "truncated normal",
        "truncated_normal",
        r"w \sim N(0, \sigma^2) \text{ given } |w| \le 2 \sigma",
        "*Plain Talk* §7.5; *Principles and Practice* §7.4.5",
        'gradus.nn.initialize(model, "truncated_normal")',
        "its standard deviation is 0.8796 σ",
    ),
    _entry(
        "identity",
        "identity",
        r"w_{ij} = 1 \text{ if } i = j \text{ else } 0",
        "deep convolutional networks §4.5.1",
        'gradus.nn.initialize(model, "identity")',
    ),
    _entry(
        "orthogonal",
        "orthogonal",
        r"w w^T = I",
        "Saxe et al. 2014",
        'gradus.nn.initialize(model, "orthogonal")',
        "a tall matrix has orthogonal columns instead",
    ),
)
