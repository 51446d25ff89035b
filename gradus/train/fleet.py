"""The fleet: many models of one architecture trained as one stacked model.

A step of a small model is mostly overhead: dozens of calls for little arithmetic. Here every call works for all members at once:
their weights are the rows of one matrix (M, P), and the model, the task's loss and its counts run under `torch.func.vmap`. Each
member keeps its own rows of data, order, dropout masks, learning rate, decay and so on, and is what it would have been alone up
to rounding (`tests/train/test_fleet.py` says how far).

`FleetLearner` is a learner and `FleetSource` a source, so the one trainer trains them; `train/fleet_trainer.py` adds what is
kept for each member: its records, best weights, early stop, failure.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.fx import GraphModule, Node

from gradus.models.auxiliary import main_outputs, total_loss
from gradus.tasks.task import Task
from gradus.train.devices import Plan
from gradus.train.learner import MEANS
from gradus.train.randomness import STEP, derive
from gradus.train.settings import TrainSettings
from gradus.train.source import Batch, Resident
from gradus.train.stacked import StackedOptimizer

EVALUATION_ROWS = 16_384  # rows of all members together in one pass of an evaluation
TRACE_FROM = 1_000  # steps from which recording the step first, which takes a second or two, pays


@dataclass
class Member:
    """One model of a fleet, with what it would need alone. Its tensors are on the device; members may share them."""

    model: nn.Module
    task: Task
    train: Batch
    validation: Batch
    settings: TrainSettings


@dataclass
class Part:
    """Members whose batches have the same number of rows.

    members: (m,), or None for all
    rows:    (m, B) of the fleet's tensors
    batch:   name -> (m, B, ...)
    seeds:   of the step, one a member; empty where nothing is random
    """

    members: Tensor | None
    rows: Tensor
    batch: Batch
    seeds: list[int]


class FleetSource:
    """The batches of all members. Data that members share are stored once."""

    def __init__(self, members: Sequence[Member], random: bool) -> None:
        self.batch_size, self.random = members[0].settings.batch_size, random
        self.seeds = [member.settings.seed for member in members]
        self.orders = [Resident(member.train, self.batch_size, member.settings.seed) for member in members]
        distinct: dict[int, Batch] = {id(member.train): member.train for member in members}
        starts, start = {}, 0
        for key, batch in distinct.items():
            starts[key] = start
            start += len(next(iter(batch.values())))
        names = list(members[0].train)
        self.tensors = {name: torch.cat([batch[name] for batch in distinct.values()]) for name in names}
        self.starts = [starts[id(member.train)] for member in members]
        self._arrange()

    def _arrange(self) -> None:
        self.lengths = np.array([order.rows for order in self.orders])
        self.rows = int(self.lengths.sum())
        self.steps = max(order.steps for order in self.orders)
        self._epoch = -1

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with some of the members."""
        self.orders, self.starts = [self.orders[row] for row in rows], [self.starts[row] for row in rows]
        self.seeds = [self.seeds[row] for row in rows]
        self._arrange()

    def size(self, step: int) -> np.ndarray:
        """(M,) rows of each member's batch."""
        return np.clip(self.lengths - step * self.batch_size, 0, self.batch_size)

    def batch(self, epoch: int, step: int) -> list[Part]:
        """The batches of one step, in parts of equal size."""
        if epoch != self._epoch:
            self._orders = [order.order(epoch) + start for order, start in zip(self.orders, self.starts, strict=True)]
            lengths = {len(order) for order in self._orders}
            self._matrix = torch.stack(self._orders) if len(lengths) == 1 else None
            whole = min(len(order) for order in self._orders) // self.batch_size  # steps in which all batches are full
            self._common = torch.stack([order[: whole * self.batch_size] for order in self._orders])
            self._whole, self._epoch = whole, epoch
        begin, end = step * self.batch_size, (step + 1) * self.batch_size
        if step < self._whole or self._matrix is not None:
            table = self._common if step < self._whole else self._matrix
            assert table is not None
            return [self._part(None, table[:, begin:end], epoch, step)]
        rows = [order[begin:end] for order in self._orders]
        parts = []
        for size in sorted({len(some) for some in rows} - {0}, reverse=True):
            members = [index for index, some in enumerate(rows) if len(some) == size]
            table = torch.stack([rows[index] for index in members])
            parts.append(self._part(torch.tensor(members, device=table.device), table, epoch, step))
        return parts

    def close(self) -> None:
        """Nothing runs beside the training."""

    def _part(self, members: Tensor | None, rows: Tensor, epoch: int, step: int) -> Part:
        flat = rows.reshape(-1)
        batch = {
            name: tensor.index_select(0, flat).view(*rows.shape, *tensor.shape[1:])
            for name, tensor in self.tensors.items()
        }
        chosen = range(len(self.seeds)) if members is None else members.tolist()
        seeds = [derive(self.seeds[index], STEP, epoch, step) for index in chosen] if self.random else []
        return Part(members, rows, batch, seeds)


class MaskedDropout(nn.Module):
    """Dropout by a mask that is given: `mask` holds 0 or 1 / (1 - p), drawn as nn.Dropout alone would have drawn it."""

    mask: Tensor

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.register_buffer("mask", torch.ones(()), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.mask if self.training else inputs


class FleetLearner:
    """M models as one. Weights (M, P); whatever a step returns has a leading dimension M."""

    def __init__(self, members: Sequence[Member], plan: Plan, steps: int = 0) -> None:
        """steps: how many steps are to come, by which it is decided whether recording the step pays."""
        self.plan, self.device = plan, plan.device
        first = members[0]
        self.model = copy.deepcopy(first.model).to(plan.device).train()
        self.names = [name for name, parameter in self.model.named_parameters() if parameter.requires_grad]
        parameters = dict(self.model.named_parameters())
        self.shapes = [parameters[name].shape for name in self.names]
        self.sizes = [shape.numel() for shape in self.shapes]
        self.weights = torch.stack(
            [torch.cat([dict(m.model.named_parameters())[n].detach().reshape(-1) for n in self.names]) for m in members]
        ).to(plan.device)
        learnt = set(self.names)
        states = [{**dict(m.model.named_parameters()), **dict(m.model.named_buffers())} for m in members]
        self.others = {  # buffers, and parameters that are not trained
            name: torch.stack([state[name].detach() for state in states]).to(plan.device)
            for name in states[0]
            if name not in learnt
        }
        self.kept = list(self.model.state_dict())  # what a checkpoint of one member holds
        self.dropouts = self._find_dropouts(members)
        self.tasks = [member.task for member in members]
        self.task = first.task
        self.task_tensors = {
            name: torch.stack([member.task.tensors()[name] for member in members]) for name in self.task.tensors()
        }
        self.settings = first.settings
        self.optimizer = StackedOptimizer(self.weights, [m.settings.optimizer for m in members], self._decays())
        self.rates = [m.settings.optimizer.resolved().learning_rate or 0.0 for m in members]
        self._read_regularization(members)
        self.average = first.settings.average
        self.averaged = self.weights.clone() if self.average else None
        self.averaged_others = {name: tensor.clone() for name, tensor in self.others.items()} if self.average else {}
        self.updates = 0
        self.factor = 1.0
        self.traces: dict[Any, Callable | None] = {}
        self.traces_pay = steps >= TRACE_FROM

    # Reading the members

    def _find_dropouts(self, members: Sequence[Member]) -> dict[str, list[float]]:
        """Replaces nn.Dropout in the model by masks that are given; name -> rate of each member."""
        found: dict[str, list[float]] = {}
        for name, module in list(self.model.named_modules()):
            if isinstance(module, nn.Dropout):
                parent, _, last = name.rpartition(".")
                setattr(self.model.get_submodule(parent), last, MaskedDropout(module.p))
                found[name] = [m.model.get_submodule(name).p for m in members]  # type: ignore[misc]
        return found

    def _is_weight(self) -> Tensor:
        """(1, P): 1 for parameters of two or more dimensions."""
        ones = [torch.full((size,), float(len(s) >= 2)) for s, size in zip(self.shapes, self.sizes, strict=True)]
        return torch.cat(ones)[None].to(self.weights)

    def _decays(self) -> Tensor:
        is_weight = self._is_weight()
        return torch.ones_like(is_weight) if self.settings.optimizer.decay == "all" else is_weight

    def _read_regularization(self, members: Sequence[Member]) -> None:
        """Each number as a column (M, 1); those that no member uses are left out."""
        self.regularization: dict[str, Tensor] = {}
        for name in ("l1", "l2", "max_norm", "clip_norm", "clip_value"):
            values = [getattr(m.settings.regularization, name) for m in members]
            if any(values):
                column = [[math.inf if value is None else value] for value in values]
                self.regularization[name] = torch.tensor(column).to(self.weights)
        self.is_weight = self._is_weight()

    # One step

    def step(self, parts: list[Part]) -> dict[str, Tensor]:
        """Changes the weights of the members that `parts` holds; returns (M, ...), 0 for members without rows."""
        self.updates += 1
        if len(parts) == 1 and parts[0].members is None:
            return self._step_part(parts[0])
        whole: dict[str, Tensor] = {}
        for part in parts:
            for name, value in self._step_part(part).items():
                if name not in whole:
                    whole[name] = value.new_zeros(len(self.weights), *value.shape[1:])
                whole[name][part.members] = value
        return whole

    @torch.no_grad()
    def _step_part(self, part: Part) -> dict[str, Tensor]:
        chosen = part.members
        weights = self.weights if chosen is None else self.weights[chosen]
        others = self.others if chosen is None else {name: tensor[chosen] for name, tensor in self.others.items()}
        context = self.task_tensors if chosen is None else {n: t[chosen] for n, t in self.task_tensors.items()}
        masks = self._masks(part, context) if self.dropouts else {}
        gradient, found, changed = self._gradient(weights, others, masks, context, part.batch)
        for name, tensor in changed.items():
            if chosen is None:
                self.others[name] = tensor
            else:
                self.others[name][chosen] = tensor
        gradient = self._regularize(gradient, weights, found, chosen)
        self.optimizer.step(gradient, self.factor, chosen)
        if "max_norm" in self.regularization:
            self._limit_norms(chosen)
        if self.averaged is not None:
            self._average(chosen)
        return found

    def _gradient(self, *inputs: Any) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Gradients (m, P), what was found, and the buffers that changed; recorded once and repeated where that pays."""
        key = tuple(
            tuple(value.shape)
            for group in inputs
            for value in (group.values() if isinstance(group, dict) else (group,))
        )
        if key not in self.traces:
            self.traces[key] = self._record(inputs) if self.traces_pay else None
        recorded = self.traces[key]
        return self._gradient_of(*inputs) if recorded is None else recorded(*inputs)

    def _record(self, inputs: tuple[Any, ...]) -> Callable | None:
        """The step as a flat list of tensor operations, without the bookkeeping of vmap and autograd; None where it fails."""
        from torch.fx.experimental.proxy_tensor import make_fx

        try:
            return _without_idle_nodes(make_fx(lambda *values: self._gradient_of(*values))(*inputs))
        except Exception:  # whatever cannot be recorded is computed as it is written
            return None

    def _gradient_of(
        self,
        weights: Tensor,
        others: dict[str, Tensor],
        masks: dict[str, Tensor],
        context: dict[str, Tensor],
        batch: Batch,
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        with torch.enable_grad():
            leaf = weights.detach().requires_grad_()
            # buffers are written in place by the model, so it gets copies, which come back as `changed`
            copies = {name: tensor.clone() for name, tensor in others.items()}
            losses, found = self._forward(leaf, {**copies, **masks}, context, batch, training=True)
            (gradient,) = torch.autograd.grad(losses.sum(), leaf)
        changed = copies if self.model_writes else {}
        return gradient, {"loss": losses.detach(), **found}, changed

    @property
    def model_writes(self) -> bool:
        """Whether training changes buffers (running statistics)."""
        return any(
            tensor.is_floating_point() or name.endswith("num_batches_tracked") for name, tensor in self.others.items()
        )

    def _forward(
        self, weights: Tensor, others: dict[str, Tensor], context: dict[str, Tensor], batch: Batch, *, training: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean losses (m,) and counts (m, ...) of weights (m, P) on batches (m, B, ...)."""
        members = len(weights)
        views = [
            part.view(members, *shape)
            for part, shape in zip(weights.split(self.sizes, dim=1), self.shapes, strict=True)
        ]

        def one(values: list[Tensor], others: dict[str, Tensor], context: dict[str, Tensor], batch: Batch):
            task = self.task.with_tensors(context)
            inputs, targets = task.prepare(batch, training=training)
            with self.plan.autocast():
                named = dict(zip(self.names, values, strict=True))
                outputs = functional_call(self.model, {**named, **others}, (inputs,))
                loss = total_loss(self.model, outputs, lambda output: task.loss(output, targets, training=training))
            return loss, task.counts(main_outputs(outputs).detach(), targets, training=training)

        self.model.train(training)
        return vmap(one)(views, others, context, batch)

    def _masks(self, part: Part, context: dict[str, Tensor]) -> dict[str, Tensor]:
        """Dropout masks (m, B, ...), each member's drawn from its own seed in the order in which its model would draw."""
        chosen = list(range(len(self.weights))) if part.members is None else part.members.tolist()
        like = self._dropout_inputs(part, context)
        masks = {
            name: torch.empty(len(chosen), *t.shape, dtype=t.dtype, device=self.device) for name, t in like.items()
        }
        generator = torch.Generator(self.device)
        for place, (member, seed) in enumerate(zip(chosen, part.seeds, strict=True)):
            generator.manual_seed(seed)
            for name, tensor in like.items():
                kept = 1 - self.dropouts[name][member]
                masks[name][place] = torch.empty_like(tensor).bernoulli_(kept, generator=generator).div_(kept)
        return {f"{name}.mask": mask for name, mask in masks.items()}

    def _dropout_inputs(self, part: Part, context: dict[str, Tensor]) -> dict[str, Tensor]:
        """What each dropout layer receives, in the order in which they are reached, for one member's batch."""
        rows = part.rows.shape[1]
        if not hasattr(self, "_like"):
            self._like: dict[int, dict[str, Tensor]] = {}
        if rows not in self._like:
            seen: dict[str, Tensor] = {}

            def look(name: str) -> Callable[[nn.Module, Any], None]:
                def hook(module: nn.Module, inputs: Any) -> None:
                    seen[name] = inputs[0].detach()

                return hook

            layers = [(name, self.model.get_submodule(name)) for name in self.dropouts]
            handles = [layer.register_forward_pre_hook(look(name)) for name, layer in layers]
            task = self.task.with_tensors({name: tensor[0] for name, tensor in context.items()})
            inputs, _ = task.prepare({name: tensor[0].clone() for name, tensor in part.batch.items()}, training=True)
            self.model(inputs)  # in training mode: auxiliary heads have dropout of their own
            for handle in handles:
                handle.remove()
            self._like[rows] = seen
        return self._like[rows]

    def _regularize(self, gradient: Tensor, weights: Tensor, found: dict[str, Tensor], chosen: Tensor | None) -> Tensor:
        """Adds the gradient of the penalties, then clips: what `optimizers.penalty` and `optimizers.clip` do for one model."""
        numbers = {n: v if chosen is None else v[chosen] for n, v in self.regularization.items()}
        if "l1" in numbers or "l2" in numbers:
            concerned = weights * self.is_weight
            penalty = torch.zeros_like(found["loss"])
            if "l1" in numbers:
                gradient = gradient + numbers["l1"] * concerned.sign()
                penalty = penalty + numbers["l1"][:, 0] * concerned.abs().sum(dim=1)
            if "l2" in numbers:
                gradient = gradient + 2 * numbers["l2"] * concerned
                penalty = penalty + numbers["l2"][:, 0] * concerned.square().sum(dim=1)
            found["penalty"] = penalty
        if "clip_value" in numbers:
            gradient = torch.minimum(torch.maximum(gradient, -numbers["clip_value"]), numbers["clip_value"])
        if "clip_norm" in numbers:
            norms = gradient.norm(dim=1, keepdim=True)
            gradient = gradient * (numbers["clip_norm"] / (norms + 1e-6)).clamp(max=1)
        return gradient

    def _limit_norms(self, chosen: Tensor | None) -> None:
        largest = self.regularization["max_norm"]
        weights = self.weights
        if chosen is not None:
            largest, weights = largest[chosen], weights[chosen]
        parts = []
        for part, shape, size in zip(weights.split(self.sizes, dim=1), self.shapes, self.sizes, strict=True):
            if len(shape) >= 2:
                rows = part.reshape(len(part), shape[0], size // shape[0])
                norms = rows.norm(dim=2, keepdim=True)
                limit = largest[:, :, None]
                part = torch.where(norms > limit, rows * (limit / (norms + 1e-7)), rows).reshape(len(part), size)
            parts.append(part)
        changed = torch.cat(parts, dim=1)
        if chosen is None:
            self.weights.copy_(changed)
        else:
            self.weights[chosen] = changed

    def _average(self, chosen: Tensor | None) -> None:
        assert self.averaged is not None and self.average is not None
        share = 1 - min(self.average, (1 + self.updates) / (10 + self.updates))
        rows: Any = slice(None) if chosen is None else chosen
        self.averaged[rows] = self.averaged[rows].lerp(self.weights[rows], share)
        for name, tensor in self.averaged_others.items():
            tensor[rows] = self.others[name][rows]

    # What the trainer asks for besides

    @torch.no_grad()
    def evaluate_members(self, batches: Sequence[Batch]) -> list[tuple[dict[str, np.ndarray], int]]:
        """The sums over each member's batch (losses too) and its rows. Members that share a batch, or its length, go together."""
        weights = self.weights if self.averaged is None else self.averaged
        others = self.others if self.averaged is None else self.averaged_others
        others = {**others, **{f"{name}.mask": torch.ones(len(weights), device=self.device) for name in self.dropouts}}
        found: list[tuple[dict[str, np.ndarray], int]] = [({}, 0)] * len(batches)
        lengths = [len(next(iter(batch.values()))) for batch in batches]
        for length in sorted(set(lengths)):
            members = [index for index, size in enumerate(lengths) if size == length]
            chosen = torch.tensor(members, device=self.device)
            stacked = self._stack([batches[index] for index in members])
            sums: dict[str, Tensor] = {}
            rows = max(1, EVALUATION_ROWS // len(members))
            for start in range(0, length, rows):
                part = {name: tensor[:, start : start + rows] for name, tensor in stacked.items()}
                context = {name: tensor[chosen] for name, tensor in self.task_tensors.items()}
                mine = {name: tensor[chosen] for name, tensor in others.items()}
                losses, counts = self._forward(weights[chosen], mine, context, part, training=False)
                held = min(rows, length - start)
                for name, value in {"loss": losses.double() * held, **counts}.items():
                    sums[name] = sums[name] + value if name in sums else value
            read = {name: value.double().cpu().numpy() for name, value in sums.items()}
            for place, index in enumerate(members):
                found[index] = {name: value[place] for name, value in read.items()}, length
        self.model.train()
        return found

    def _stack(self, batches: list[Batch]) -> Batch:
        """(m, N, ...), without a copy where all members have the same rows."""
        first = batches[0]
        if all(batch is first for batch in batches):
            return {name: tensor.expand(len(batches), *tensor.shape) for name, tensor in first.items()}
        return {name: torch.stack([batch[name] for batch in batches]) for name in first}

    def summarize(self, totals: dict[str, np.ndarray], samples: Any) -> dict[str, float]:
        """The metrics, as the mean over the members whose values are finite."""
        every = self.summaries(totals, samples)
        names = every[0] if every else {}
        means = {}
        for name in names:
            values = np.array([one[name] for one in every])
            values = values[np.isfinite(values)]
            means[name] = float(values.mean()) if len(values) else math.inf
        return means

    def summaries(self, totals: dict[str, np.ndarray], samples: Any) -> list[dict[str, float]]:
        """The metrics of each member."""
        rows = np.broadcast_to(samples, (len(self.weights),))
        every = []
        with np.errstate(all="ignore"):
            for index in range(len(self.weights)):
                mine = {name: total[index] for name, total in totals.items()}
                means = {name: float(mine[name] / rows[index]) for name in MEANS if name in mine}
                every.append(means | self.tasks[index].metrics(mine, int(rows[index])))
        return every

    def begin_epoch(self, epoch: int) -> str:
        return ""  # whatever is fine-tuned does not train in a fleet

    def set_learning_rate(self, factor: float) -> float:
        self.factor = factor
        return self.rates[0] * factor

    def member_state(self, index: int) -> dict[str, Tensor]:
        """The tensors that member `index` predicts with, on the CPU, named and shaped as in a model of its own."""
        weights = (self.weights if self.averaged is None else self.averaged)[index]
        others = self.others if self.averaged is None else self.averaged_others
        parts = zip(self.names, weights.split(self.sizes), self.shapes, strict=True)
        state = {name: part.view(shape).cpu().clone() for name, part, shape in parts}
        state |= {name: tensor[index].cpu().clone() for name, tensor in others.items()}
        return {name: state[name] for name in self.kept}

    def keep(self, rows: list[int]) -> None:
        """Goes on with some of the members, so that those that have stopped cost nothing."""
        chosen = torch.tensor(rows, device=self.device)
        self.weights = self.weights[chosen]
        self.optimizer.keep(chosen, self.weights)
        self.others = {name: tensor[chosen] for name, tensor in self.others.items()}
        self.task_tensors = {name: tensor[chosen] for name, tensor in self.task_tensors.items()}
        self.regularization = {name: tensor[chosen] for name, tensor in self.regularization.items()}
        self.dropouts = {name: [rates[row] for row in rows] for name, rates in self.dropouts.items()}
        self.tasks, self.rates = [self.tasks[row] for row in rows], [self.rates[row] for row in rows]
        if self.averaged is not None:
            self.averaged = self.averaged[chosen]
            self.averaged_others = {name: tensor[chosen] for name, tensor in self.averaged_others.items()}
        self.traces = {}

    def predicting_state(self) -> dict[str, Tensor]:
        return {"weights": self.weights if self.averaged is None else self.averaged}

    def training_state(self) -> dict[str, Tensor]:
        state = {f"optimizer.{name}": tensor for name, tensor in self.optimizer.state().items()}
        state |= {f"other.{name}": tensor for name, tensor in self.others.items()}
        if self.averaged is not None:
            state |= {"raw": self.weights} | {f"averaged.{name}": t for name, t in self.averaged_others.items()}
        return state

    def restore(self, predicting: dict[str, Tensor], training: dict[str, Tensor], updates: int) -> None:
        if self.averaged is not None:
            self.averaged.copy_(predicting["weights"])
            self.weights.copy_(training["raw"])
        else:
            self.weights.copy_(predicting["weights"])
        for name, tensor in self.others.items():
            tensor.copy_(training[f"other.{name}"])
        for name, tensor in self.averaged_others.items():
            tensor.copy_(training[f"averaged.{name}"])
        self.optimizer.restore(
            {n.removeprefix("optimizer."): t for n, t in training.items() if n.startswith("optimizer.")}
        )
        self.updates = updates


def _without_idle_nodes(recorded: GraphModule) -> GraphModule:
    """Takes out what costs a call and does nothing when no gradient is recorded: detach, views to the same shape, times 1."""
    aten = torch.ops.aten
    reshapes = {aten.view.default, aten.expand.default, aten._unsafe_view.default, aten.alias.default}
    for node in list(recorded.graph.nodes):
        if node.op != "call_function" or not node.args or not isinstance(node.args[0], Node):
            continue
        before, after = node.args[0].meta.get("val"), node.meta.get("val")
        same = isinstance(before, Tensor) and isinstance(after, Tensor) and before.shape == after.shape
        idle = node.target == aten.detach.default or (node.target in reshapes and same)
        if idle or (node.target == aten.mul.Scalar and node.args[1] == 1):
            node.replace_all_uses_with(node.args[0])
            recorded.graph.erase_node(node)
    recorded.graph.eliminate_dead_code()
    recorded.recompile()
    return recorded
