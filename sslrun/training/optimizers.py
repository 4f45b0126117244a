"""The two optimisers of a run, network and predictor, under one schedule, and the guard against non-finite values.

The guard never waits for the device: a flag there masks every update from the first non-finite loss or gradient
on, and the host reads it now and then (`raise_if_not_finite`). So no weight is ever spoilt before it is noticed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import SGD, AdamW
from torch.optim.optimizer import Optimizer as TorchOptimizer

from sslrun.errors import RunFailed
from sslrun.methods import Method
from sslrun.networks.exchange import Exchange
from sslrun.networks.iteration import Iteration
from sslrun.recipe.plugins import at_work
from sslrun.recipe.schema import Optimizer, Optimizers, Schedule

NEVER = torch.iinfo(torch.int64).max


class Updates:
    """Implements `sslrun.methods.Updater` for a method: gradients in, weights changed.

    `rates` gives the factor of each optimiser's own peak learning rate at every iteration.
    """

    def __init__(
        self, method: Method, section: Optimizers, rates: Sequence[float] | NDArray[np.float64], device: torch.device
    ) -> None:
        self.rates, self.device, self.method = rates, device, method
        pairs = [(section.network, list(method.network_parameters()))]
        if method.predictor is not None:
            pairs.append((section.predictor or section.network, list(method.predictor.parameters())))
        self.optimizers = [_build(options, parameters) for options, parameters in pairs if parameters]
        self.options = [options for options, parameters in pairs if parameters]
        self.decays = [weight_decays(options, len(rates)) for options in self.options]
        self._rates_on_device: list[Tensor] = []
        self._exchange: Exchange | None = None
        self.spoilt = torch.zeros((), device=device)
        self.first_bad = torch.full((), NEVER, dtype=torch.int64, device=device)
        for optimizer in self.optimizers:
            optimizer.found_inf = self.spoilt  # type: ignore[attr-defined]  # read by torch's fused kernels and by Lars

    @property
    def same_every_step(self) -> bool:
        """Whether a captured step can do it: learning rates are read on the device, decays are not."""
        return all(float(decays.min()) == float(decays.max()) for decays in self.decays)

    def place_rates(self) -> None:
        """Lay the learning rates out on the device, where captured steps read them."""
        dtype = torch.float32 if self.device.type == "cuda" else torch.float64  # as torch's kernels want it
        rates = torch.as_tensor(np.asarray(self.rates))
        self._rates_on_device = [(options.lr * rates).to(self.device, dtype) for options in self.options]

    def zero_grad(self) -> None:
        """Forget the gradients of the step before."""
        if self._exchange is None and self.method.group.size > 1:  # its hooks are of the parameters as they are now
            self._exchange = Exchange(self.method.online.parameters(), self.method.group)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)

    @torch.no_grad()
    def step(self, iteration: int, loss: Tensor) -> None:
        """Step the network's optimiser, then the predictor's, unless this or an earlier step was not finite.

        Where several processes train, the gradients of encoder and projector are of a part of the batch each and have
        been added up since backward began; what comes after the outputs have been gathered has the whole gradient
        everywhere.
        """
        if self._exchange is not None:
            self._exchange.finish()
        gradients = [p.grad for o in self.optimizers for g in o.param_groups for p in g["params"] if p.grad is not None]
        size = torch.stack([*torch._foreach_norm(gradients), loss]).sum()
        bad = ~torch.isfinite(size)
        number = iteration.on_device if isinstance(iteration, Iteration) else iteration
        torch.minimum(self.first_bad, torch.where(bad, number, NEVER), out=self.first_bad)
        self.spoilt.copy_(torch.maximum(self.spoilt, bad.to(self.spoilt)))
        for which, (optimizer, options, decays) in enumerate(
            zip(self.optimizers, self.options, self.decays, strict=True)
        ):
            decayed, *_ = groups = optimizer.param_groups  # vectors come second where they are not decayed
            decayed["weight_decay"] = float(decays[iteration])
            if options.clip is not None:
                nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], options.clip)
            with self._rated(which, iteration):
                optimizer.step()

    @contextmanager
    def _rated(self, which: int, iteration: int) -> Iterator[None]:
        """One of the optimisers at its learning rate, for a captured step a tensor; numbers are what is saved."""
        groups, peak = self.optimizers[which].param_groups, self.options[which].lr
        for group in groups:
            group["lr"] = peak * float(self.rates[iteration])
        if not isinstance(iteration, Iteration):
            yield
            return
        kept = [dict(group) for group in groups]
        for group in groups:
            group["lr"] = self._rates_on_device[which].index_select(0, iteration.on_device.view(1)).view(())
            if "capturable" in group:
                group["capturable"] = True
        try:
            yield
        finally:
            for group, values in zip(groups, kept, strict=True):
                group.update(values)

    def raise_if_not_finite(self) -> None:
        """Wait for the device and raise `RunFailed` naming the first step whose loss or gradient was not finite."""
        first = int(self.first_bad)
        if first != NEVER:
            raise RunFailed(
                f"the loss or a gradient became infinite or NaN at step {first}",
                remedy=f"The weights of the step before are safe. Try {calmer(self.method)}",
            )

    def state_dict(self) -> list[dict[str, Any]]:
        """The optimisers' states, in order."""
        return [optimizer.state_dict() for optimizer in self.optimizers]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Go on from the states that `state_dict` gave."""
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict(state)


def calmer(method: Method) -> str:
    """What to try where numbers do not stay finite."""
    usual = (
        "a lower optimizer.network.lr, a warm-up (optimizer.schedule.warmup_epochs), or training.precision: float32."
    )
    theirs = " and ".join(at_work(method.modules()))
    return usual + f"\nOr the numbers of {theirs} are the cause: see what that computes." * bool(theirs)


def _build(section: Optimizer, parameters: Iterable[nn.Parameter]) -> TorchOptimizer:
    """torch's fused optimisers, or LARS; decay (and LARS's scaling) left off vectors if the recipe says so."""
    matrices: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    for parameter in parameters:
        plain = section.decay_norm_and_bias or parameter.ndim > 1
        (matrices if plain else vectors).append(parameter)
    groups: list[dict[str, Any]] = [{"params": matrices, "weight_decay": section.weight_decay}]
    if vectors:
        groups.append({"params": vectors, "weight_decay": 0.0})
    if section.kind == "sgd":
        sgd = SGD(groups, lr=section.lr, momentum=section.momentum, nesterov=section.nesterov, fused=True)
        for parameter in [*matrices, *vectors] if section.momentum else ():
            # Else torch makes them at the first step, and fails for a parameter whose first gradient comes later.
            sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return sgd
    if section.kind == "adamw":
        return AdamW(groups, lr=section.lr, betas=(section.momentum, section.beta2), fused=True)
    for group, scale in zip(groups, (True, False), strict=False):
        group["scale"] = scale
    return Lars(groups, lr=section.lr, momentum=section.momentum, trust=section.trust)


def learning_rates(schedule: Schedule, steps_per_epoch: int, epochs: int) -> NDArray[np.float64]:
    """Factor of the peak learning rate at each of `steps_per_epoch * epochs` iterations, in [0, 1].

    Linear warm-up from `start` reaches 1 at its last iteration; the cosine then falls from 1 towards `end`, which it
    would reach one iteration after the last.
    """
    steps = steps_per_epoch * epochs
    warmup = min(round(schedule.warmup_epochs * steps_per_epoch), steps)
    factors = np.ones(steps)
    factors[:warmup] = schedule.start + (1 - schedule.start) * np.arange(1, warmup + 1) / warmup
    if schedule.kind == "cosine":
        factors[warmup:] = half_cosine(1.0, schedule.end, steps - warmup)
    return factors


def weight_decays(section: Optimizer, steps: int) -> NDArray[np.float64]:
    """The weight decay at each of `steps` iterations: constant, or from `weight_decay` towards `weight_decay_end`."""
    end = section.weight_decay if section.weight_decay_end is None else section.weight_decay_end
    return half_cosine(section.weight_decay, end, steps)


def half_cosine(start: float, end: float, steps: int) -> NDArray[np.float64]:
    """From `start`, at the first of `steps` iterations, towards `end`, which would be reached one after the last."""
    return end + (start - end) * (1 + np.cos(np.pi * np.arange(steps) / steps)) / 2


class Lars(TorchOptimizer):
    """LARS (arXiv 1708.03888): g ← g + decay·w;  g ← g · trust·|w| / |g|;  v ← momentum·v + g;  w ← w − lr·v.

    The scaling holds for tensors of a group with `scale=True` and is 1 where |w| or |g| is 0, as in the code of
    SimSiam, BYOL and SwAV. `found_inf` (a tensor that is 1 after a non-finite gradient) masks the update, as it
    does in torch's fused optimisers.
    """

    found_inf: Tensor | None = None

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        *,
        lr: float,
        momentum: float,
        trust: float,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": 0.0, "trust": trust, "scale": True}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # no closure here
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                gradient = weight.grad.add(weight, alpha=group["weight_decay"])
                if group["scale"]:
                    norm, length = weight.norm(), gradient.norm()
                    ratio = group["trust"] * norm / length
                    gradient = gradient * torch.where((norm > 0) & (length > 0), ratio, torch.ones_like(ratio))
                state = self.state[weight]
                velocity = state.setdefault("momentum_buffer", torch.zeros_like(weight))
                velocity.mul_(group["momentum"]).add_(gradient)
                update = group["lr"] * velocity
                if self.found_inf is not None:
                    update = torch.where(self.found_inf > 0, torch.zeros_like(update), update)
                weight.sub_(update)
