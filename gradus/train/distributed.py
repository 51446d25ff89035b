"""Learning in several processes: the same step as in one, its rows shared out and its gradients added up.

`batch_size` is the number of rows of all processes together. Each process takes its part of the rows of every step, in the order
that one process would take them in, and its mean loss counts by its share of the rows; so short last batches, `accumulate` and
batches of fewer rows than processes give the gradient of the whole batch, up to rounding.

    Replicated   every process holds the whole model (DistributedDataParallel)
    Sharded      every process holds a part of each tensor: weights, gradients, optimiser state (fully_shard, FSDP2)

Choices. The optimiser works on plain tensors that share their memory with the parameters (`Supervised.train_on`): the whole
ones, or this process's shards. So penalties and updates are written once, and all optimisers work on shards (torch 2.13 has
no fused SGD for DTensor). Batch normalisation uses the statistics of each process's own rows, unless `sync_batch_norm`; buffers
are those of the main process. Not covered: learners other than `Supervised`, tensor and pipeline parallelism.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gradus.errors import UserError
from gradus.tasks.task import Task
from gradus.train.adversarial import Adversarial
from gradus.train.carried import Carried
from gradus.train.devices import Plan
from gradus.train.learner import Supervised, rows_of
from gradus.train.optimizers import counts_on_device
from gradus.train.settings import TrainSettings
from gradus.train.shards import Saved, Shard, Shards
from gradus.train.source import Batch
from gradus.train.world import World, add_up

BLOCK = (
    2**16
)  # least number of parameters for which a block is collected by itself; fewer cost more time than they save memory


class Part(dict[str, Tensor]):
    """The rows of a batch that one process takes. Where it has none it works on borrowed rows, which count for nothing.

    counted: how many rows count: all, or 0
    whole:   how many rows the batch of all processes has
    """

    def __init__(self, batch: Batch, world: World) -> None:
        self.whole = rows_of(batch)
        first, end = world.share_of(self.whole)
        self.counted = end - first
        if not self.counted:
            first, end = 0, min(2, self.whole)  # two, where there are two: batch normalisation needs them
        super().__init__({name: tensor[first:end] for name, tensor in batch.items()})


class SharedSource:
    """A source whose batches are shared out over the processes. `size` counts this process's own rows.

    The order of an epoch and the cut into batches are those of `whole`, so they do not depend on the number of processes.
    """

    def __init__(self, whole: Any, world: World) -> None:
        self.whole, self.world = whole, world
        self.rows, self.steps, self.batch_size = whole.rows, whole.steps, whole.batch_size

    def batch(self, epoch: int, step: int) -> Part:
        return Part(self.whole.batch(epoch, step), self.world)

    def size(self, step: int) -> int:
        first, end = self.world.share_of(self.whole.size(step))
        return end - first

    def order(self, epoch: int) -> Tensor:
        return self.whole.order(epoch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["whole"], name)


class SharedOut(Supervised):
    """What both ways of distributing have in common. `step` expects a `Part`."""

    capture_obstacle = "the processes exchange gradients"

    def __init__(self, model: nn.Module, task: Task, settings: TrainSettings, plan: Plan, world: World) -> None:
        self.world = world
        if settings.sync_batch_norm:
            if plan.device.type != "cuda":
                raise UserError("train.sync_batch_norm: PyTorch has it for GPUs only; leave it out on a CPU")
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        super().__init__(model, task, settings, plan)
        self.shrinks = False  # a process that began its step again would wait for the others for ever
        modules = [self.model] if self.averaged is None else [self.model, self.averaged]
        for module in modules:
            world.copy_from_main([*module.parameters(), *module.buffers()])
        self._distribute(settings)

    def _distribute(self, settings: TrainSettings) -> None:
        """Called once the model is in its place and the same everywhere."""
        raise NotImplementedError

    def _reducing(self, last: bool) -> AbstractContextManager:
        """Within it, a backward pass adds up the gradients over the processes if it is the last one of the step."""
        raise NotImplementedError

    def _own_gradients(self) -> None:
        """Hands the gradients to the tensors that the optimiser works on."""
        raise NotImplementedError

    def _gradients(self, batch: Batch) -> dict[str, Tensor]:
        assert isinstance(batch, Part)
        self._share_buffers()
        self.model.zero_grad()
        pieces = min(self.accumulate, -(-batch.whole // self.world.size))  # as many in each process: they work in step
        found: dict[str, Tensor] = {}
        for number, (piece, counted) in enumerate(self._pieces(batch, pieces)):
            with self._reducing(number == pieces - 1):
                # the processes' gradients are averaged, so that a share of the whole batch counts `size` times
                sums = self._weighed_backward(piece, self.world.size * counted / batch.whole)
            sums["loss"] = sums["loss"] * counted / max(batch.counted, 1)
            for name, value in sums.items():
                value = value if counted else torch.zeros_like(value)
                found[name] = found[name] + value if name in found else value
        self._own_gradients()
        return found

    def _pieces(self, part: Part, pieces: int) -> Iterator[tuple[Batch, int]]:
        """A part cut into pieces, each with how many of its rows count. None is empty: where rows run out, some are borrowed."""
        rows = rows_of(part)
        for index in range(pieces):
            first, end = World(index, pieces).share_of(rows)
            counted = end - first if part.counted else 0
            first, end = (first, end) if end > first else (0, min(2, rows))
            yield {name: tensor[first:end] for name, tensor in part.items()}, counted

    def _weighed_backward(self, piece: Batch, weight: float) -> dict[str, Tensor]:
        """Adds the gradient of `weight` times the mean loss of a piece; returns that mean, and the sums over its rows."""
        inputs, targets = self.task.prepare(piece, training=True)
        outputs, loss = self._outputs_and_loss(inputs, targets)
        # 0 * loss is 0, or NaN where the loss is not finite: all processes then see it in their gradients and stop together
        (loss * (weight + 0 * loss.detach())).backward()
        return {"loss": loss.detach(), **self.task.counts(outputs.detach(), targets, training=True)}

    def _share_buffers(self) -> None:
        self.world.copy_from_main(self.model.buffers())

    @torch.no_grad()
    def evaluate(self, batches: Iterable[Batch]) -> tuple[dict[str, np.ndarray], int]:
        """As that of one process, the rows of each batch shared out and the sums added up."""
        self.world.copy_from_main(self.predictor.buffers())
        sums, samples = super().evaluate(self._parts(batches))
        gathered = self.world.gather([{name: value.tolist() for name, value in sums.items()}, samples])
        return add_up(gathered)

    def _parts(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        for batch in batches:
            part = Part(batch, self.world)
            if part.counted:
                yield part
            else:
                self._stand_in(part)

    def _stand_in(self, part: Part) -> None:
        """What a process without rows does while the others evaluate theirs."""


class Replicated(SharedOut):
    """Every process holds the whole model; DistributedDataParallel averages the gradients during the backward pass."""

    wrapped: DistributedDataParallel | None = None

    def begin_epoch(self, epoch: int) -> str:
        changed = super().begin_epoch(epoch)
        if changed and self.wrapped is not None:  # it exchanges the gradients of those that learnt when it was made
            self.forward, self.wrapped = self.wrapped.module, None
        return changed

    def _distribute(self, settings: TrainSettings) -> None:
        # plain tensors on the parameters' memory: a backward pass to them, of a penalty, does not set off another exchange
        self.aliases = {name: alias_of(p, p) for name, p in self.model.named_parameters()}
        self.train_on(self.aliases, settings)

    def _gradients(self, batch: Batch) -> dict[str, Tensor]:
        if self.wrapped is None:
            assert isinstance(batch, Part)
            self._wrap(batch)
        return super()._gradients(batch)

    def _wrap(self, part: Part) -> None:
        """Makes the DistributedDataParallel, with two backward passes that are thrown away.

        The first shows whether parameters are left out, which has to be told. After the second it arranges its sums anew, once;
        with that behind us, a run that is continued adds up in the same order as one that was never stopped.
        """
        buffers = [buffer.clone() for buffer in self.model.buffers()]
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            self._weighed_backward(part, 0.0)
            left_out = [n for n, p in self.model.named_parameters() if p.requires_grad and p.grad is None]
            unused = bool(self.world.largest(int(bool(left_out)))[0])
            self.model.zero_grad()
            arguments = inspect.signature(DistributedDataParallel).parameters
            sync = (
                "forward_sync_buffers" if "forward_sync_buffers" in arguments else "broadcast_buffers"
            )  # before torch 2.13
            # They are found in what `forward` returns. What a detector gives is not looked into, and its heads may be used later:
            # what none of the processes uses, as networks for other anchors have it, is kept from the exchange instead
            alone: set[str] = set()
            if self.task.name == "object-detection":
                alone, unused = set.intersection(*map(set, self.world.gather(left_out))), False
            apart = [p for n, p in self.model.named_parameters() if n in alone]
            options: dict[str, Any] = {
                "find_unused_parameters": unused,
                sync: False,
            }  # buffers are shared by `_share_buffers`
            for parameter in apart:
                parameter.requires_grad_(False)
            self.wrapped = DistributedDataParallel(self.forward, **options)
            for parameter in apart:
                parameter.requires_grad_(True)
            self.forward = self.wrapped
            self._weighed_backward(part, 0.0)
        self.model.zero_grad()
        for buffer, value in zip(self.model.buffers(), buffers, strict=True):
            buffer.copy_(value)

    def _reducing(self, last: bool) -> AbstractContextManager:
        assert self.wrapped is not None
        return nullcontext() if last else self.wrapped.no_sync()

    def _own_gradients(self) -> None:
        for name, parameter in self.model.named_parameters():
            self.aliases[name].grad = parameter.grad


class Sharded(SharedOut):
    """Every process holds a part of each tensor, cut along its first dimension; a block is whole only while it computes."""

    def __init__(self, model: nn.Module, task: Task, settings: TrainSettings, plan: Plan, world: World) -> None:
        if settings.compile:
            raise UserError("train.compile: not together with train.distribution = 'fsdp'; use 'ddp'")
        if settings.fine_tune.freezes or settings.fine_tune.rate_decay != 1:
            raise UserError("train.fine_tune: not together with train.distribution = 'fsdp'; use 'ddp'")
        if (
            task.name == "object-detection"
        ):  # parts of a detector are computed after its `forward`, where nothing is whole
            raise UserError("train.distribution: detectors are not for 'fsdp'; use 'ddp'")
        super().__init__(copy.deepcopy(model), task, settings, plan, world)  # the one that was given stays whole

    def _distribute(self, settings: TrainSettings) -> None:
        from torch.distributed.device_mesh import init_device_mesh

        mesh = init_device_mesh(self.device.type, (self.world.size,))
        try:
            shard(self.model, mesh)
            if self.averaged is not None:
                shard(self.averaged, mesh)
        except ValueError as error:
            raise UserError(f"train.distribution: this model cannot be sharded ({error}); use 'ddp'") from None
        self.sharded: dict[str, Any] = dict(self.model.named_parameters())
        aliases = {name: alias_of(parameter, local(parameter)) for name, parameter in self.sharded.items()}
        self.aliases = {
            name: alias for name, alias in aliases.items() if alias.numel()
        }  # few rows: some processes have none
        self.train_on(self.aliases, settings)

    @contextmanager
    def _reducing(self, last: bool) -> Iterator[None]:
        self.model.set_requires_gradient_sync(last)  # type: ignore[operator]
        yield

    def _own_gradients(self) -> None:
        for name, alias in self.aliases.items():
            gradient = self.sharded[name].grad
            alias.grad = None if gradient is None else local(gradient)

    def _check(self, found: dict[str, Tensor]) -> None:
        """Each process sees only its shards: what one finds, and what each adds to the penalty, is shared first."""
        if "penalty" in found:
            dist.all_reduce(found["penalty"])
        self._look_for_non_finite(found)
        dist.all_reduce(self.flag, dist.ReduceOp.MAX)
        self._act_on_flag(found)

    def _clip(self) -> None:
        """As `optimizers.clip`; the length is that of all shards together."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if self.settings.clip_value is not None:
            torch._foreach_clamp_min_(gradients, -self.settings.clip_value)
            torch._foreach_clamp_max_(gradients, self.settings.clip_value)
        if self.settings.clip_norm is not None:
            squares = torch.zeros((), dtype=torch.float64, device=self.device)
            for gradient in gradients:
                squares += gradient.double().square().sum()
            dist.all_reduce(squares)
            factor = (self.settings.clip_norm / (squares.sqrt() + 1e-6)).clamp(max=1.0)
            for gradient in gradients:
                gradient.mul_(factor.to(gradient.dtype))

    @torch.no_grad()
    def _average(self) -> None:
        assert self.averaged is not None
        share = self._share if self.guard else self._share * (1 - self.flag)
        for mine, theirs in zip(self.averaged.parameters(), self.sharded.values(), strict=True):
            local(mine).lerp_(local(theirs), share)
        for target, source in zip(self.averaged.buffers(), self.model.buffers(), strict=True):
            target.copy_(source)

    @torch.no_grad()
    def _stand_in(self, part: Part) -> None:
        with self.plan.autocast():
            self.predictor(self.task.prepare(part, training=False)[0])  # the others need our part of the weights

    def diagnose(self, batch: Batch) -> tuple[str, int | None]:
        for name, parameter in self.sharded.items():
            if not bool(torch.isfinite(local(parameter)).all()):
                return f"the parameter {name}", None
        return "the step (its weights are spread over processes, so it was not looked into)", None

    def predicting_state(self) -> dict[str, Tensor]:
        """The whole tensors, on the CPU of the main process; nothing on the others, which take part in collecting them."""
        found = {}
        for name, tensor in self.predictor.state_dict().items():
            whole = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
            if self.world.is_main:
                found[name] = whole.detach().cpu()
        return found

    def shards(self) -> Shards:
        self.world.copy_from_main(self.model.buffers())
        found = {f"model/{name}": self._shard(tensor) for name, tensor in self.predictor.state_dict().items()}
        if self.averaged is not None:
            raw = self.model.state_dict()
            found |= {f"training/raw.{name}": self._shard(tensor) for name, tensor in raw.items()}
        names: dict[Tensor, str] = {alias: name for name, alias in self.aliases.items()}
        for alias, state in self.optimizer.state.items():
            name = names[alias]
            for key, value in state.items():
                if value is not None:
                    like = self.sharded[name] if value.shape == alias.shape else None
                    found[f"training/optimizer.{key}.{name}"] = self._shard(torch.as_tensor(value), like)
        # what is not cut is the same everywhere, and the main process has all of it
        return {name: part for name, part in found.items() if part.is_cut or self.world.is_main}

    def _shard(self, tensor: Any, like: Any = None) -> Shard:
        """This process's part of a tensor; `like`: the parameter that it is cut as."""
        like = tensor if like is None else like
        if not hasattr(like, "to_local"):
            return Shard(tensor.detach(), 0, tuple(tensor.shape), False)
        rows = like.shape[0]
        first = min(self.world.rank * -(-rows // self.world.size), rows)  # as torch.chunk cuts
        return Shard(local(tensor).detach(), first, tuple(like.shape), True)

    @torch.no_grad()
    def restore_shards(self, saved: Saved, updates: int) -> None:
        self._read_into(self.predictor, "model/", saved)
        if self.averaged is not None:
            self._read_into(self.model, "training/raw.", saved)
        on_device = {p for group in self.optimizer.param_groups if counts_on_device(group) for p in group["params"]}
        for key in saved.names("training/optimizer."):
            _, field, name = key.split(".", 2)
            alias = self.aliases.get(name)
            if alias is None:  # no row of it is ours
                continue
            part = self._shard(self.sharded[name])
            if saved.shape(key) == part.shape:
                value = torch.empty_like(alias).copy_(saved.read(key, part.first, len(part.tensor)))
            else:
                value = saved.read(key).to(alias.device if alias in on_device else "cpu")
            self.optimizer.state[alias][field] = value
        self.updates = updates

    def _read_into(self, module: nn.Module, prefix: str, saved: Saved) -> None:
        for name, tensor in module.state_dict().items():
            part = self._shard(tensor)
            if not part.is_cut:
                part.tensor.copy_(saved.read(prefix + name))
            elif len(part.tensor):
                part.tensor.copy_(saved.read(prefix + name, part.first, len(part.tensor)))


def shard(model: nn.Module, mesh: Any) -> None:
    """fully_shard on each large block (an element of a Sequential or ModuleList), then on what is left.

    Only such blocks, since a module must be called to be made whole, and not every module's weights are used by calling it.
    """
    from torch.distributed.fsdp import fully_shard

    blocks = [
        child
        for module in model.modules()
        if isinstance(module, nn.Sequential | nn.ModuleList)
        for child in module.children()
        if not isinstance(child, nn.ModuleList | nn.ModuleDict)
        and sum(parameter.numel() for parameter in child.parameters()) >= BLOCK
    ]
    for parameter in model.parameters():
        parameter.data = parameter.data.contiguous()  # fully_shard takes no channels-last weights
    for block in reversed(blocks):  # the inner ones come later in `modules`, and have to be sharded first
        fully_shard(block, mesh=mesh, reshard_after_forward=True)
    fully_shard(model, mesh=mesh, reshard_after_forward=True)


@torch.no_grad()
def local(tensor: Any) -> Tensor:
    """This process's part of a tensor, as a plain one on the same memory."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def alias_of(parameter: Tensor, memory: Tensor) -> nn.Parameter:
    return nn.Parameter(memory.detach(), requires_grad=parameter.requires_grad)


def create_learner(model: nn.Module, task: Task, settings: TrainSettings, plan: Plan, world: World) -> Supervised:
    """The learner for so many processes."""
    if task.batch_rows is not None:
        if world.size > 1:
            raise UserError(
                "a state that is carried from row to row is not shared: train with one process, or streams=0"
            )
        return Carried(model, task, settings, plan)
    if hasattr(model, "players"):
        if world.size > 1:
            raise UserError("a game of several players is learnt by one process; leave out --nproc")
        return Adversarial(model, task, settings, plan)
    if world.size == 1:
        return Supervised(model, task, settings, plan)
    kind = Sharded if settings.distribution == "fsdp" else Replicated
    return kind(model, task, settings, plan, world)
