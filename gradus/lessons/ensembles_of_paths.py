"""A residual network of n blocks is a sum over 2ⁿ paths: their lengths, their gradients, and what removing a block does."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, SECOND

if TYPE_CHECKING:
    import torch

    from gradus.lessons.page import LessonPage

BLOCKS, WIDTH, EPOCHS = 8, 64, 12


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """scikit-learn's digits, pixels in 0..1: 1437 to learn from, 360 to test. (inputs, labels, inputs, labels)"""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    train, test = order[:1437], order[1437:]
    return data.data[train] / 16, data.target[train], data.data[test] / 16, data.target[test]


class Blocks:
    """inputs -> width 64 -> n blocks of relu(x W1) W2 -> 10 logits. residual: each block adds its input to its output."""

    def __init__(self, residual: bool) -> None:
        import torch

        generator = torch.Generator().manual_seed(0)

        def weight(n: int, m: int, scale: float) -> torch.Tensor:
            drawn = scale * torch.randn(n, m, generator=generator, dtype=torch.float64) / n**0.5
            return drawn.requires_grad_()

        self.residual = residual
        self.stem = weight(64, WIDTH, 1.0)
        last = 0.5 if residual else 2**0.5  # residual blocks begin small, plain ones keep the size
        self.blocks = [(weight(WIDTH, WIDTH, 2**0.5), weight(WIDTH, WIDTH, last)) for _ in range(BLOCKS)]
        self.head = weight(WIDTH, 10, 1.0)

    def parameters(self) -> list[torch.Tensor]:
        return [self.stem, *(w for pair in self.blocks for w in pair), self.head]

    def branch(self, index: int, x: torch.Tensor) -> torch.Tensor:
        """What block `index` computes of its input, without the shortcut."""
        first, second = self.blocks[index]
        return (x @ first).relu() @ second

    def logits(self, inputs: torch.Tensor, order: tuple[int, ...] = tuple(range(BLOCKS))) -> torch.Tensor:
        """(N, 64) -> (N, 10), through the blocks that `order` names. A plain network applies ReLU between blocks."""
        x = inputs @ self.stem
        for index in order:
            x = x + self.branch(index, x) if self.residual else self.branch(index, x).relu()
        return x @ self.head

    def accuracy(
        self, inputs: torch.Tensor, labels: torch.Tensor, order: tuple[int, ...] = tuple(range(BLOCKS))
    ) -> float:
        import torch

        with torch.no_grad():
            return float((self.logits(inputs, order).argmax(dim=1) == labels).double().mean())


def train(residual: bool, inputs: torch.Tensor, labels: torch.Tensor) -> Blocks:
    """Adam at 0.001, batches of 64."""
    import torch

    net = Blocks(residual)
    optimizer = torch.optim.Adam(net.parameters(), 0.001)
    generator = torch.Generator().manual_seed(1)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(inputs), generator=generator).split(64):
            loss = torch.nn.functional.cross_entropy(net.logits(inputs[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net


def path_gradients(
    net: Blocks, inputs: torch.Tensor, labels: torch.Tensor
) -> tuple[dict[int, list[torch.Tensor]], torch.Tensor]:
    """(path length -> gradients of its paths, the whole gradient), by the output of the stem.

    Backwards through x + f(x) a gradient g becomes g + f'(x)ᵀ g: two paths. A path is a choice at every block, and the
    2ⁿ of them add up to the gradient that backpropagation gives.
    """
    import torch

    x = (inputs @ net.stem).detach()
    states = [x]
    for index in range(BLOCKS):
        states.append((states[-1] + net.branch(index, states[-1])).detach())
    last = states[-1].requires_grad_()
    loss = torch.nn.functional.cross_entropy(last @ net.head, labels)
    found: list[tuple[int, torch.Tensor]] = [(0, torch.autograd.grad(loss, last)[0])]
    for index in reversed(range(BLOCKS)):
        at = states[index].detach().requires_grad_()
        branch = net.branch(index, at)
        through = [(k + 1, torch.autograd.grad(branch, at, g, retain_graph=True)[0]) for k, g in found]
        found = found + through
    start = x.clone().requires_grad_()
    state = start
    for index in range(BLOCKS):
        state = state + net.branch(index, state)
    whole = torch.autograd.grad(torch.nn.functional.cross_entropy(state @ net.head, labels), start)[0]
    lengths: dict[int, list[torch.Tensor]] = {k: [] for k in range(BLOCKS + 1)}
    for k, gradient in found:
        lengths[k].append(gradient)
    return lengths, whole


def binomial(n: int) -> np.ndarray:
    """How many of the 2ⁿ paths use k blocks, k = 0 .. n."""
    row = np.array([1])
    for _ in range(n):
        row = np.append(row, 0) + np.append(0, row)
    return row


def show(page: LessonPage) -> None:
    import torch

    x, y, fresh, wanted = (torch.as_tensor(part) for part in digits())
    nets = {"residual": train(True, x, y), "plain": train(False, x, y)}
    _lengths(page)
    _gradients(page, *path_gradients(nets["residual"], x[:200], y[:200]))
    _lesions(page, nets, fresh, wanted)
    page.try_it("gradus lesson vanishing-gradients")


def _lengths(page: LessonPage) -> None:
    counts = {3: binomial(3), 16: binomial(16)}
    page.text(
        "A residual block gives $x+f(x)$: its input, plus something. Three blocks one after the other are already "
        "a sum of eight ways from the first input to the output, for each block is either taken or passed by."
    )
    page.formula(r"x_3=x_2+f_3(x_2)=\big(x_1+f_2(x_1)\big)+f_3\big(x_1+f_2(x_1)\big),\quad x_1=x_0+f_1(x_0)")

    def paint(axes):
        lengths = np.arange(17)
        axes.bar(lengths, counts[16] / counts[16].sum(), color=MODEL)
        axes.set(xlabel="blocks on the path", ylabel="share of paths", xticks=[0, 4, 8, 12, 16])

    page.figure(paint, "Lengths of the 65,536 paths through 16 blocks, as many as ResNet-34 has")
    page.number("paths_3", counts[3].sum(), "paths through 3 blocks", printed=8)
    page.number("paths_16", counts[16].sum(), "paths through 16 blocks")
    page.number(
        "mean_length",
        (np.arange(17) * counts[16]).sum() / counts[16].sum(),
        "their mean length in blocks (two convolutions each)",
        printed="n/2",
    )
    page.number("middle", counts[16][5:12].sum() / counts[16].sum(), "share of paths with 5 to 11 blocks")


def _gradients(page: LessonPage, lengths: dict[int, list[torch.Tensor]], whole: torch.Tensor) -> None:
    sizes = np.array([np.mean([float(g.norm()) for g in lengths[k]]) for k in lengths])
    total = sizes * binomial(BLOCKS)
    summed = sum(g for gradients in lengths.values() for g in gradients)
    page.heading("Which paths carry the gradient")
    page.text(
        f"A network of {BLOCKS} blocks on 8 × 8 digits. Going back through a block, a gradient splits in two: one "
        "part passes the shortcut unchanged, one goes through the branch. We follow all 256 paths one by one. "
        "Added up they are what backpropagation gives."
    )

    def paint(axes):
        axes[0].semilogy(range(BLOCKS + 1), sizes, color=MODEL, marker="o", markersize=4)
        axes[0].set(xlabel="blocks on the path", ylabel="gradient of one path", xticks=[0, 2, 4, 6, 8])
        axes[0].set_yticks([2e-5, 1e-4, 4e-4], ["0.00002", "0.0001", "0.0004"])
        axes[0].minorticks_off()
        axes[1].bar(range(BLOCKS + 1), total / total.sum(), color=SECOND)
        axes[1].set(xlabel="blocks on the path", ylabel="share, all its paths", xticks=[0, 2, 4, 6, 8])

    page.figure(paint, "Size of the gradient by path length", panels=(1, 2), size=(6.4, 2.6))
    page.number(
        "sum_difference",
        float((summed - whole).abs().max() / whole.abs().max()),
        "largest difference between the sum of all paths and backpropagation, relative",
    )
    page.number("short_gradient", sizes[0], "gradient along the shortcut alone")
    page.number("long_gradient", sizes[-1], "gradient along the path through all blocks")
    page.number("short_share", total[:5].sum() / total.sum(), "share that comes along paths of at most 4 blocks")
    page.text(
        "Long paths carry less, as in any deep network: the shortcut has not abolished the decay, it has supplied "
        "short ways round it."
    )


def lesions(net: Blocks, inputs: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Mean accuracy over all ways to leave out k blocks, k = 0 .. n - 1. (n,)"""
    every = range(BLOCKS)
    return np.array(
        [
            np.mean(
                [
                    net.accuracy(inputs, labels, tuple(i for i in every if i not in out))
                    for out in combinations(every, k)
                ]
            )
            for k in range(BLOCKS)
        ]
    )


def swaps(net: Blocks, inputs: torch.Tensor, labels: torch.Tensor) -> float:
    """Mean accuracy over all ways to exchange two blocks."""
    found = []
    for i, j in combinations(range(BLOCKS), 2):
        order = list(range(BLOCKS))
        order[i], order[j] = j, i
        found.append(net.accuracy(inputs, labels, tuple(order)))
    return float(np.mean(found))


def _lesions(page: LessonPage, nets: dict[str, Blocks], inputs: torch.Tensor, labels: torch.Tensor) -> None:
    removed = {name: lesions(net, inputs, labels) for name, net in nets.items()}
    page.heading("Remove a block")
    page.text(
        "After training we leave blocks out and test, without learning anew. In the plain network, trained "
        "likewise and as good, every path goes through every block, so the loss of one breaks them all. In the "
        "residual one half of the paths is left. Exchanging two blocks hurts in the same way."
    )

    def paint(axes):
        for name, colour in (("residual", MODEL), ("plain", SECOND)):
            axes.plot(range(BLOCKS), 100 * removed[name], color=colour, marker="o", markersize=4)
        axes.axhline(10, color=INK, linewidth=1, linestyle=(0, (3, 3)))
        axes.set(xlabel="blocks left out", ylabel="test accuracy, %", ylim=(0, 102))

    page.figure(
        paint,
        "Accuracy by blocks left out, mean over all choices",
        keys=[("model", "residual"), ("second", "plain"), ("ink", "guessing")],
    )
    for name, net in nets.items():
        page.number(f"{name}_whole", removed[name][0], f"test accuracy, {name}")
        page.number(f"{name}_one_out", removed[name][1], f"{name}, one block left out")
        page.number(f"{name}_swapped", swaps(net, inputs, labels), f"{name}, two blocks exchanged")
    page.text(
        "So a residual network behaves like an ensemble of shallow ones. It is not one in the strict sense: its "
        "paths share weights and were never trained to work alone."
    )
