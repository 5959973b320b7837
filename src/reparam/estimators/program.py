"""Programs: several random sites, discrete and continuous, in any order, each with its own estimator.

A program draws z_1, z_2, ... and pays costs c_1, c_2, ... on the way. With box_i = q_i(z_i) / q_i(z_i held fixed),

    E sum_j c_j   has the derivatives of   sum_j c_j prod_{i upstream of j} box_i   to every order,

so that a site is credited only with costs that depend on it: those paid after it or, where `depends` says more, those
computed from it. Sites whose draws carry a derivative need no box; enumerated sites are summed: the program runs once
for each combination of their states, with the same noise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from reparam.distributions import Distribution, convert
from reparam.estimators.base import Estimator, check_samples, refuse_rule, refuse_scheme
from reparam.estimators.enumerate import Enumerate
from reparam.estimators.expect import default_estimator
from reparam.estimators.leave_one_out import LeaveOneOut, others_mean
from reparam.estimators.pathwise import Pathwise
from reparam.estimators.score import ScoreFunction
from reparam.estimators.site import probability, states
from reparam.estimators.surrogate import box
from reparam.noise import Noise, given


@dataclass
class Event:
    """What happened in a run: a cost, a boxed draw with its log q, or an enumerated state with its probability.

    `upstream` names the boxed sites that it depends on, itself not included, in their order.
    """

    kind: str
    value: Tensor
    name: str = ""
    upstream: tuple[str, ...] = ()
    q: Distribution | None = None
    estimator: Estimator | None = None


@dataclass
class Sites:
    """One run of a program, given to the loss: call it to draw a site, and `cost` to pay a cost.

    Attributes:
        samples: S, the length of the first axis of every draw and cost.
        noise: the address; site "b" draws from noise.child("b").
        choices: the states of the enumerated sites, in the order in which they are met.
    """

    samples: int
    noise: Noise
    batch: tuple[int, ...] | None
    choices: list[int]
    sizes: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __call__(
        self,
        name: str,
        q: torch.distributions.Distribution,
        *,
        estimator: Estimator | None = None,
        depends: Sequence[str] | None = None,
    ) -> Tensor:
        """Draw a site, shape (S, *B, *E).

        Args:
            name: of its own; the site draws from noise.child(name).
            q: its law, whose parameters may be computed from earlier sites and then have shape (S, *B, ...).
            estimator: Pathwise, ScoreFunction, LeaveOneOut or Enumerate; by the rule of q when None.
            depends: names of the sites that q is computed from; None: any drawn so far.
        """
        upstream = self._upstream(depends)
        if any(event.name == name for event in self.events):
            raise ValueError(f"program: every site must have a name of its own; got {name!r} twice")
        ours = convert(q)
        chosen = default_estimator(ours, self.samples, self.noise) if estimator is None else estimator
        ours = self._expanded(name, ours)
        if isinstance(chosen, Enumerate):
            return self._enumerated(name, ours, chosen, upstream)
        if not isinstance(chosen, Pathwise | ScoreFunction | LeaveOneOut):
            raise TypeError(
                f"program: the estimator of site {name!r} must be Pathwise, ScoreFunction, LeaveOneOut or Enumerate; "
                f"got {type(chosen).__name__}; use it through reparam.expect"
            )
        z = self._draw(name, ours)
        if isinstance(chosen, Pathwise):
            refuse_rule(chosen, ours, "none", "its draws have no derivative")
            self.events.append(Event("pathwise", z, name, upstream))
            return z
        if isinstance(chosen, LeaveOneOut):
            check_samples("LeaveOneOut", self.samples, least=2)
            refuse_scheme(chosen, self.noise)
        z = z.detach()
        self.events.append(Event("boxed", ours.log_prob(z), name, upstream, ours, chosen))
        return z

    def cost(self, value: Tensor, *, depends: Sequence[str] | None = None) -> None:
        """Pay a cost, shape (S, *B), with which only sites upstream of it are credited.

        Args:
            value: computed from sites drawn so far.
            depends: the names of these; sites that they depend on need no mention. None: any drawn so far. Leaving
                out a site that the value does depend on makes the gradient wrong.
        """
        expected = (self.samples, *(self.batch or ()))
        if not isinstance(value, Tensor) or tuple(value.shape) != expected:
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"program: a cost must have shape (S, *B) = {expected}; got {got}")
        self.events.append(Event("cost", value, upstream=self._upstream(depends)))

    def _upstream(self, depends: Sequence[str] | None) -> tuple[str, ...]:
        """Return the boxed sites that something depends on which is computed from the sites named."""
        sites = {event.name: event for event in self.events if event.kind != "cost"}
        boxed = [name for name, event in sites.items() if event.kind == "boxed"]
        if depends is None:
            return tuple(boxed)
        unknown = set(depends) - set(sites)
        if isinstance(depends, str) or unknown:
            raise ValueError(
                f"program: depends must be a list of names of sites drawn before; got {depends!r}, where the sites "
                f"are {list(sites)}"
            )
        reached = set(depends).union(*(sites[name].upstream for name in depends))
        return tuple(name for name in boxed if name in reached)

    def _expanded(self, name: str, q: Distribution) -> Distribution:
        """Return q with batch shape (*B), or (S, *B) where it depends on earlier sites."""
        if self.batch is None:
            self.batch = tuple(q.batch_shape)
        for shape in (self.batch, (self.samples, *self.batch)):
            if len(q.batch_shape) <= len(shape):
                return q if tuple(q.batch_shape) == shape else convert(q.expand(shape))
        raise ValueError(
            f"program: site {name!r} must have batch shape {self.batch} or {(self.samples, *self.batch)}; got "
            f"{tuple(q.batch_shape)}; wrap event dimensions in Independent, or pass batch_shape="
        )

    def _draw(self, name: str, q: Distribution) -> Tensor:
        noise = self.noise.child(name)
        draw = q.sample if q.rule == "none" else q.rsample
        if tuple(q.batch_shape) == self.batch:
            return draw((self.samples,), noise=noise)
        eps = noise.draw(replace(q.noise_spec(), sample_ndim=1))
        return q.push(eps)

    def _enumerated(
        self, name: str, q: Distribution, estimator: Enumerate, upstream: tuple[str, ...]
    ) -> Tensor:
        z = states(estimator, q, estimator.limit)
        position = len(self.sizes)
        self.sizes.append(len(z))
        if position == len(self.choices):
            self.choices.append(0)
        chosen = z[self.choices[position]]
        if tuple(q.batch_shape) == self.batch:
            chosen = chosen.expand(self.samples, *chosen.shape)
        self.events.append(Event("state", probability(q, chosen), name, upstream))
        return chosen


def program(
    loss: Callable[[Sites], Tensor | None],
    *,
    samples: int = 1,
    noise: Noise | None = None,
    batch_shape: Sequence[int] | None = None,
    limit: int = 4096,
) -> Tensor:
    """Estimate the expected cost of a program of random sites, shape (*B), with a gradient in all its parameters.

        def loss(site):
            b = site("b", Bernoulli(logits=l))            # LeaveOneOut, by its rule
            site.cost(price(b))                           # later sites are not credited with this
            z = site("z", Normal(mean(b), 1.0))           # Pathwise
            c = site("c", Bernoulli(logits=l), depends=[])
            site.cost(loss_of(c), depends=["c"])          # b is not credited with this
            return (z - t) ** 2                           # the last cost: credited to b and c

    Args:
        loss: called with a `Sites`; returns the last cost, shape (S, *B), or None if all are paid. Called once, or
            once for each combination of states of sites with the estimator Enumerate; it must draw the same sites
            each time up to these.
        samples: S.
        noise: the address; each site draws at noise.child(its name).
        batch_shape: B; that of the first site when None.
        limit: the largest number of runs.

    Gradient: unbiased to any order, in every parameter, if each pathwise site meets only smooth costs and laws. A site
    under ScoreFunction or LeaveOneOut is credited with the costs that depend on it (paid after it, or as `depends`
    says), less its baseline, which LeaveOneOut takes from the same costs of the other samples. Leaving out the other
    costs takes terms of mean zero away, which lowers the variance, unless a cost left out offsets a credited one and so
    did the work of a baseline (give the site that baseline). Cost: S evaluations per run.

    References: foerster2018, schulman2015, mao2019 (baselines for any order).

    Example:
        >>> from reparam.distributions import Bernoulli
        >>> l = torch.tensor(0.0, requires_grad=True)
        >>> value = program(lambda site: 2 * site("b", Bernoulli(logits=l), estimator=Enumerate()))
        >>> value.item(), *torch.autograd.grad(value, l)
        (1.0, tensor(0.5000))
    """
    check_samples("program", samples)
    noise = given(noise, "program")
    batch = None if batch_shape is None else tuple(batch_shape)
    runs: list[Sites] = []
    choices: list[int] = []
    while True:
        run = Sites(samples, noise, batch, choices)
        last = loss(run)
        if last is not None:
            run.cost(last)
        elif not any(event.kind == "cost" for event in run.events):
            raise ValueError("program: loss must pay a cost or return the last one; got None and no cost")
        runs.append(run)
        if len(runs) > limit:
            raise ValueError(
                f"program: enumerated sites must have at most {limit} combinations; raise `limit`"
            )
        choices = list(run.choices)
        while choices and choices[-1] + 1 == run.sizes[len(choices) - 1]:
            choices.pop()
        if not choices:
            return surrogate(runs).mean(0)
        choices[-1] += 1


def surrogate(runs: list[Sites]) -> Tensor:
    """Return sum_runs P(run) sum_j c_j prod_{i upstream of j} box_i, with the baselines, shape (S, *B)."""
    credit = credits(runs)
    total: Tensor | float = 0.0
    paid: set[tuple[str, tuple[int, ...]]] = set()
    for run in runs:
        weight: Tensor | float = 1.0
        for event in run.events:
            weight = weight * event.value if event.kind == "state" else weight
        own = {event.name: box(event.value) for event in run.events if event.kind == "boxed"}
        boxes = products(own, [event.upstream for event in run.events])
        reached: Tensor | float = 1.0  # probability of the enumerated states so far
        met = 0
        for event in run.events:
            if event.kind == "cost":
                total = total + weight * boxes[event.upstream] * event.value
            elif event.kind == "state":
                reached, met = reached * event.value, met + 1
            elif event.kind == "boxed":
                key = (event.name, tuple(run.choices[:met]))
                if key not in paid:  # runs that share what came before share this draw, and its baseline
                    paid.add(key)
                    b = baseline(event, credit[key])
                    total = total + reached * boxes[event.upstream] * (1 - own[event.name]) * b
    assert isinstance(total, Tensor)
    return total


def products(own: dict[str, Tensor], wanted: list[tuple[str, ...]]) -> dict[tuple[str, ...], Tensor | float]:
    """Return the product of the boxes of each tuple of names; tuples that begin alike share the work."""
    found: dict[tuple[str, ...], Tensor | float] = {(): 1.0}
    for names in wanted:
        for k in range(1, len(names) + 1):
            if names[:k] not in found:
                found[names[:k]] = found[names[: k - 1]] * own[names[k - 1]]
    return found


def credits(runs: list[Sites]) -> dict[tuple[str, tuple[int, ...]], Tensor | float]:
    """Return for each boxed draw the costs that depend on it, (S, *B), summed over the states enumerated after it."""
    credit: dict[tuple[str, tuple[int, ...]], Tensor | float] = {}
    for run in runs:
        after = downstream([event for event in run.events if event.kind == "cost"])
        likely: Tensor | float = 1.0  # probability of the states after this point
        met = len(run.sizes)
        for event in reversed(run.events):
            if event.kind == "state":
                likely, met = likely * event.value.detach(), met - 1
            elif event.kind == "boxed":
                key = (event.name, tuple(run.choices[:met]))
                credit[key] = credit.get(key, 0.0) + likely * after.get(event.name, 0.0)
    return credit


def downstream(costs: list[Event]) -> dict[str, Tensor | float]:
    """Return for each site the sum of the costs that depend on it; costs whose upstream begins alike share sums."""
    ending: dict[tuple[str, ...], Tensor | float] = {}
    for cost in costs:
        ending[cost.upstream] = ending.get(cost.upstream, 0.0) + cost.value.detach()
    total: dict[str, Tensor | float] = {}
    for length in range(max(map(len, ending)), 0, -1):
        for names in [names for names in ending if len(names) == length]:
            total[names[-1]] = total.get(names[-1], 0.0) + ending[names]
            ending[names[:-1]] = ending.get(names[:-1], 0.0) + ending[names]
    return total


def baseline(event: Event, credit: Tensor | float) -> Tensor | float:
    """Return the baseline of a boxed draw: that of its ScoreFunction, or the mean credit of the other samples."""
    if isinstance(event.estimator, LeaveOneOut):
        return others_mean(credit) if isinstance(credit, Tensor) else credit
    assert isinstance(event.estimator, ScoreFunction)
    assert event.q is not None
    if event.estimator.baseline == "constant":
        raise ValueError(
            f"program: site {event.name!r} cannot use baseline='constant', which needs draws of its own; use "
            "LeaveOneOut, a number, 'moving_average' or a callable"
        )
    return event.estimator.value_of(lambda z: z, event.q, 1, Noise(0))
