"""The dendritic cortical microcircuit: errors in apical dendrites, with or without look-ahead.

Every hidden layer has pyramidal cells (soma, basal and apical dendrite) and one interneuron per
pyramidal cell of the layer above, which learns to predict that cell. What the apical dendrite
hears from above minus what the interneurons predict is the error. With prospective somata this is
the microcircuit of Latent Equilibrium (Haider et al. 2021), with ordinary ones that of Sacramento
et al. (2018).

Indices: layer l = 0 .. L-1 stands for the layers 1 .. L of the papers; l = L-1 is the output.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from lapicque._checks import InputError, finite, in_range, known, positive, shape as check_shape
from lapicque.rate.compartment import (
    LookAhead,
    Opinion,
    Soma,
    SomaStep,
    prospective,
)
from lapicque.rate.part import AbstractPart, simulate
from lapicque.rate.plasticity import PlasticityRule, error_times_trace

Arrays = tuple[Array, ...]
Rates = tuple[float, ...]


class Conductances(eqx.Module):
    """Conductances of the microcircuit [1/ms], with C = 1.

    Raises:
        InputError: One is negative or not finite.

    Source: configuration of figures 3 and 5 of Haider et al. (2021).
    """

    leak: float = 0.03
    basal: float = 0.1
    apical: float = 0.06
    somatic: float = 0.06  # from the layer above to the interneurons, from the target to the output
    dendritic: float = 0.1  # of the interneurons

    def __check_init__(self):
        for name in ("leak", "basal", "apical", "somatic", "dendritic"):
            value = known(getattr(self, name))
            if value is not None:
                in_range(name, value, 0, unit="1/ms", hint="A conductance is never negative.")


class MicrocircuitWeights(NamedTuple):
    """Matrices (post, pre), one per layer for `up` and one per hidden layer for the rest."""

    up: Arrays  # pyramidal cells below to basal dendrites
    down: Arrays  # pyramidal cells above to apical dendrites
    ip: Arrays  # pyramidal cells to the interneurons of their layer
    pi: Arrays  # interneurons to apical dendrites


class Stimulus(NamedTuple):
    """What the circuit is shown in one step."""

    rate: Float[Array, "*batch n_in"]
    target: Float[Array, "*batch n_out"]  # target potential
    nudge: Float[Array, "*batch"]  # 1: the target is imposed; 0: it is not


class Teacher(NamedTuple):
    """What the soma of the output layer is told."""

    target: Float[Array, "*batch n_out"]
    nudge: Float[Array, "*batch"]


class Voltages(NamedTuple):
    """What an electrode in every compartment shows during one step."""

    pyramidal: tuple[SomaStep, ...]  # per layer, the output last
    interneuron: tuple[SomaStep, ...]  # per hidden layer
    v_bas: Arrays  # per layer
    v_api: Arrays  # per hidden layer
    v_den: Arrays  # per hidden layer

    @property
    def output(self) -> Float[Array, "*batch n_out"]:
        """Emitted potential of the output layer, the read-out."""
        return self.pyramidal[-1].p


class MicrocircuitState(NamedTuple):
    """What the circuit carries from one step to the next; potentials are (*batch, n)."""

    weights: MicrocircuitWeights
    memory: Any  # what the plasticity rules remember
    u_pyr: Arrays
    u_inn: Arrays
    p_pyr: Arrays  # potentials emitted in the last step, the fact sheets' u with a ring
    p_inn: Arrays
    rate: Float[Array, "*batch n_in"]  # low-passed input
    target: Float[Array, "*batch n_out"]  # low-passed target
    pending: tuple["Teacher", ...]  # targets on their way, oldest first


class Microcircuit(AbstractPart[MicrocircuitState]):
    """Layers of pyramidal cells and interneurons that learn while they run.

        v_bas = W_up r_below,   v_api = W_down r_above + W_pi r_inn,   v_den = W_ip r_pyr
        pyramidal     u_eff = (g_bas v_bas + g_api v_api) / (g_l + g_bas + g_api)
        interneuron   u_eff = (g_den v_den + g_som p_above) / (g_l + g_den + g_som)
        output        u_eff = (g_bas v_bas + g_som u_trg) / (g_l + g_bas + g_som)
        dW_up/dt =  eta_up [phi(p_pyr) - phi(g_bas / (g_l + g_bas + g_api) v_bas)] r_below^T
        dW_ip/dt =  eta_ip [phi(p_inn) - phi(g_den / (g_l + g_den) v_den)] r_pyr^T
        dW_pi/dt = -eta_pi v_api r_inn^T

    with r = phi(p), all from the previous step, and p the potential that the soma emits. The
    prediction of the output layer has no apical dendrite: g_bas / (g_l + g_bas) v_bas. W_down stays
    as it is.

    Attributes:
        sizes: Neurons per layer, the input first and the output last.
        eta_up: Learning rate [1/ms], a number or one per layer. A rate of the number 0 removes the
            plasticity of that population from the program.
        eta_ip, eta_pi: Learning rates [1/ms], a number or one per hidden layer.
        clip_up: Largest absolute value of W_up, a number or one per layer; infinite by default.
        look_ahead: `prospective` gives Latent Equilibrium, `retarded` the original microcircuit.
        target_delay: Steps by which target and nudge are delayed, so that they meet the output
            that answers the same input. By default one step per hidden layer with the `prospective`
            look-ahead, and none otherwise: membranes are slower than any such delay.
        tau_0: Time constant of the low-pass on input and target; 0 switches it off [ms].
        conductances: See `Conductances`.
        activation: phi, from potential to rate. (The published code returns 0 below -15 and x above
            15, which differs from the default by less than 4e-7.)
        rules: Plasticity rules of W_up, W_ip and W_pi.

    Raises:
        InputError: A layer is empty, a list of rates does not fit `sizes`, or a rate, a delay or a
            time constant is negative or not finite.

    Source: Haider et al. (2021), section on cortical microcircuits; Sacramento et al. (2018).
    """

    sizes: tuple[int, ...] = eqx.field(static=True)
    eta_up: Rates
    eta_ip: Rates
    eta_pi: Rates
    clip_up: Rates
    tau_0: float = eqx.field(static=True)
    conductances: Conductances
    look_ahead: LookAhead = eqx.field(static=True)
    target_delay: int = eqx.field(static=True)
    activation: Callable[[Array], Array] = eqx.field(static=True)
    rules: tuple[PlasticityRule, PlasticityRule, PlasticityRule] = eqx.field(static=True)

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        eta_up: float | Sequence[float] = 0.0,
        eta_ip: float | Sequence[float] = 0.0,
        eta_pi: float | Sequence[float] = 0.0,
        clip_up: float | Sequence[float] = np.inf,
        look_ahead: LookAhead = prospective,
        target_delay: int | None = None,
        tau_0: float = 0.0,
        conductances: Conductances | None = None,
        activation: Callable[[Array], Array] = jax.nn.softplus,
        rules: tuple[PlasticityRule, PlasticityRule, PlasticityRule] | None = None,
    ):
        self.sizes = tuple(sizes)
        if len(self.sizes) < 2 or any(not isinstance(n, int | np.integer) or n < 1 for n in sizes):
            raise InputError(
                f"`sizes` is {self.sizes}; it must name two or more layers, the input first, with "
                "at least one neuron each, such as (9, 30, 3)."
            )
        n_layers, n_hidden = len(self.sizes) - 1, len(self.sizes) - 2
        self.eta_up = _per_layer("eta_up", eta_up, n_layers, "layer")
        self.eta_ip = _per_layer("eta_ip", eta_ip, n_hidden, "hidden layer")
        self.eta_pi = _per_layer("eta_pi", eta_pi, n_hidden, "hidden layer")
        self.clip_up = _per_layer("clip_up", clip_up, n_layers, "layer", "", largest=np.inf)
        self.look_ahead = look_ahead
        if target_delay is None:
            target_delay = n_hidden if look_ahead is prospective else 0
        self.target_delay = target_delay
        in_range("target_delay", self.target_delay, 0, unit="steps")
        self.tau_0 = tau_0
        in_range("tau_0", tau_0, 0, unit="ms")
        self.conductances = Conductances() if conductances is None else conductances
        self.activation = activation
        self.rules = (_RULE, _RULE, _RULE) if rules is None else rules

    @property
    def soma(self) -> Soma:
        """The soma that all populations share."""
        return Soma(self.conductances.leak, look_ahead=self.look_ahead)

    @property
    def tau_eff(self) -> float:
        """Shortest effective membrane time constant of the circuit [ms]."""
        g = self.conductances
        dendrites = (g.basal + g.apical, g.basal + g.somatic, g.dendritic + g.somatic)
        return 1 / (g.leak + max(dendrites))

    def frozen(self) -> "Microcircuit":
        """The same circuit without plasticity."""
        return replace(self, eta_up=0.0, eta_ip=0.0, eta_pi=0.0)

    def random_weights(self, key: PRNGKeyArray, bound: float = 1.0) -> MicrocircuitWeights:
        """Weights drawn from U(-bound, bound), independently for every population."""
        positive("bound", bound)
        shapes = [pair for pairs in self._shapes() for pair in pairs]
        ends = np.cumsum([post * pre for post, pre in shapes])
        # One draw for all: a program with a single generator compiles several times faster.
        drawn = jnp.split(jax.random.uniform(key, (ends[-1],), minval=-bound, maxval=bound), ends)
        matrices = iter([flat.reshape(pair) for flat, pair in zip(drawn, shapes, strict=False)])
        return MicrocircuitWeights(
            *(tuple(next(matrices) for _ in pairs) for pairs in self._shapes())
        )

    def self_predicting(self, weights: MicrocircuitWeights) -> MicrocircuitWeights:
        """The same W_up and W_down, with interneurons that predict the layer above exactly.

            W_pi = -W_down
            W_ip = W_up^above g_bas / (g_l + g_bas + g_api^above) (g_l + g_den) / g_den

        The output layer has g_api = 0. Without target the interneurons then settle where the cells
        above are, the apical dendrites are silent, and W_ip and W_pi stay as they are.
        """
        g = self.conductances
        factor = g.basal * (g.leak + g.dendritic) / g.dendritic
        g_api = [g.apical] * (len(self.sizes) - 3) + [0.0]
        above = zip(weights.up[1:], g_api, strict=False)
        return weights._replace(
            pi=tuple(-down for down in weights.down),
            ip=tuple(up * factor / (g.leak + g.basal + api) for up, api in above),
        )

    def init(
        self, weights: MicrocircuitWeights, batch_shape: tuple[int, ...] = ()
    ) -> MicrocircuitState:
        """The circuit at rest, every potential and every filter at 0.

        Args:
            weights: The weights to start from; they evolve in the state.
            batch_shape: Batch axes, shown together; plasticity takes the mean over them.

        Raises:
            InputError: A matrix has the wrong shape or holds values that are not finite.
        """
        for name, matrices, pairs in zip(
            MicrocircuitWeights._fields, weights, self._shapes(), strict=True
        ):
            if len(matrices) != len(pairs):
                raise InputError(
                    f"`weights.{name}` holds {len(matrices)} matrices; {self.sizes=} needs "
                    f"{len(pairs)}."
                )
            for layer, (matrix, pair) in enumerate(zip(matrices, pairs, strict=True)):
                check_shape(f"weights.{name}[{layer}]", matrix, pair, hint="It is (post, pre).")
                if known(matrix) is not None:
                    finite(f"weights.{name}[{layer}]", matrix)
        weights = jax.tree.map(jnp.asarray, weights)
        dtype = weights.up[0].dtype

        def zeros(sizes):
            return tuple(jnp.zeros((*batch_shape, n), dtype) for n in sizes)

        pyr, inn = zeros(self.sizes[1:]), zeros(self.sizes[2:])
        rate, target = zeros((self.sizes[0], self.sizes[-1]))
        nothing = Teacher(target, jnp.zeros(batch_shape, dtype))
        plastic = (weights.up, weights.ip, weights.pi)
        memory = tuple(
            tuple(map(rule.init, matrices))
            for rule, matrices in zip(self.rules, plastic, strict=True)
        )
        return MicrocircuitState(
            weights, memory, pyr, inn, pyr, inn, rate, target, (nothing,) * self.target_delay
        )

    def step(
        self, state: MicrocircuitState, input: Stimulus, dt: float
    ) -> tuple[MicrocircuitState, Voltages]:
        """One explicit Euler step of dt [ms]: first every potential and change, then all at once.

        Raises:
            InputError: dt is not below `tau_eff`, or above a `tau_0` that is not 0, or the input
                does not fit the circuit.
        """
        self.check(dt)
        g, phi, W, soma = self.conductances, self.activation, state.weights, self.soma
        n_hidden = len(self.sizes) - 2

        smooth = dt / self.tau_0 if self.tau_0 else 1.0
        rate = state.rate + smooth * (_fit("input.rate", input.rate, state.rate) - state.rate)
        target = _fit("input.target", input.target, state.target)
        target = state.target + smooth * (target - state.target)
        nudge = _fit("input.nudge", input.nudge, state.rate[..., 0])
        teacher, *pending = (*state.pending, Teacher(target, nudge))

        r = (rate, *map(phi, state.p_pyr))  # r[l] lies below layer l, r[l + 1] is its own
        r_inn = tuple(map(phi, state.p_inn))
        v_bas = tuple(_send(w, below) for w, below in zip(W.up, r[:-1], strict=True))
        v_api = tuple(
            _send(W.down[i], r[i + 2]) + _send(W.pi[i], r_inn[i]) for i in range(n_hidden)
        )
        v_den = tuple(_send(W.ip[i], r[i + 1]) for i in range(n_hidden))

        basal = tuple(Opinion(g.basal, v) for v in v_bas)
        # What the soma does if its dendrite is right, so that the apical one is silent.
        v_hat = tuple(soma.pool(b, Opinion(g.apical, 0.0)).E for b in basal[:-1])
        v_hat += (soma.pool(basal[-1]).E,)
        den = tuple(Opinion(g.dendritic, v) for v in v_den)
        v_hat_den = tuple(soma.pool(d).E for d in den)

        # Without a target the output is told its own prediction; it gets there, to
        # g_bas v_bas / (g_l + g_bas), at the same speed as with a target.
        nudge = teacher.nudge[..., None]
        from_above = (
            *(Opinion(g.apical, v) for v in v_api),
            Opinion(g.somatic, nudge * teacher.target + (1 - nudge) * v_hat[-1]),
        )
        to_inn = tuple(Opinion(g.somatic, p) for p in state.p_pyr[1:])
        u_pyr, pyr = _somata(soma, state.u_pyr, zip(basal, from_above, strict=True), dt)
        u_inn, inn = _somata(soma, state.u_inn, zip(den, to_inn, strict=True), dt)

        def mismatch(somata, predictions):
            return [phi(s.p) - phi(v) for s, v in zip(somata, predictions, strict=True)]

        populations = (
            (W.up, mismatch(pyr, v_hat), r[:-1], self.eta_up, self.clip_up),
            (W.ip, mismatch(inn, v_hat_den), r[1:-1], self.eta_ip, (np.inf,) * n_hidden),
            (W.pi, [-v for v in v_api], r_inn, self.eta_pi, (np.inf,) * n_hidden),
        )
        (up, ip, pi), memory = zip(
            *(
                _learn(rule, *population, memory, dt)
                for rule, population, memory in zip(
                    self.rules, populations, state.memory, strict=True
                )
            ),
            strict=True,
        )
        new = MicrocircuitState(
            MicrocircuitWeights(up=up, down=W.down, ip=ip, pi=pi),
            memory,
            u_pyr,
            u_inn,
            tuple(s.p for s in pyr),
            tuple(s.p for s in inn),
            rate,
            target,
            tuple(pending),
        )
        return new, Voltages(pyr, inn, v_bas, v_api, v_den)

    def check(self, dt: float) -> None:
        """Raise an `InputError` unless dt < tau_eff and, with a low-pass, dt <= tau_0."""
        if known(dt) is None:
            return
        g = self.conductances
        self.soma.check_step(dt, g.basal, g.apical)
        self.soma.check_step(dt, g.basal, g.somatic)
        self.soma.check_step(dt, g.dendritic, g.somatic)
        if self.tau_0:
            in_range("tau_0", self.tau_0, dt, unit="ms", hint="Set it to 0 for no low-pass.")

    def _shapes(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """The shapes (post, pre) of all matrices, in the order of `MicrocircuitWeights`."""
        n = self.sizes
        hidden = range(1, len(n) - 1)
        down = tuple((n[i], n[i + 1]) for i in hidden)
        up = tuple((post, pre) for pre, post in pairwise(n))
        return up, down, tuple((n[i + 1], n[i]) for i in hidden), down


def present_patterns(
    circuit: Microcircuit,
    state: MicrocircuitState,
    patterns: Stimulus,
    *,
    n_steps: int,
    dt: float,
    lag: int = 0,
) -> tuple[MicrocircuitState, Float[Array, "patterns *batch n_out"]]:
    """Show patterns one after the other without any pause or reset, and read the output.

    Args:
        circuit: The circuit; it learns unless it is `frozen`.
        state: Where it is.
        patterns: Stimuli with one more axis in front, (patterns, *batch, n).
        n_steps: Steps per pattern.
        dt: Step [ms].
        lag: Steps at the start of each pattern that the read-out leaves out.

    Returns:
        The last state, and for each pattern the mean emitted potential of the output layer.

    Raises:
        InputError: `lag` leaves no step to read, or `patterns` do not fit the circuit or hold
            values that are not finite.
    """
    in_range("n_steps", n_steps, 1)
    in_range("lag", lag, 0, n_steps - 1, "steps", "It must leave at least one step to read.")
    _all_finite(patterns)

    def read(carry, pattern, weight):
        state, total = carry
        state, voltages = circuit.step(state, pattern, dt)
        return (state, total + weight * voltages.output), None

    def show(state, pattern):
        weights = (jnp.arange(n_steps) >= lag).astype(state.target.dtype) / (n_steps - lag)
        start = (state, jnp.zeros_like(state.target))
        (state, output), _ = jax.lax.scan(lambda c, w: read(c, pattern, w), start, weights)
        return state, output

    return jax.lax.scan(show, state, patterns)


def record_patterns(
    circuit: Microcircuit,
    state: MicrocircuitState,
    patterns: Stimulus,
    *,
    n_steps: int,
    dt: float,
) -> tuple[MicrocircuitState, Voltages]:
    """Show patterns as `present_patterns` does; return the voltages of all steps, time first."""
    _all_finite(patterns)
    repeated = jax.tree.map(lambda x: jnp.repeat(x, n_steps, axis=0), patterns)
    return simulate(circuit, state, repeated, dt)


_RULE = error_times_trace()


def _send(weights: Float[Array, "post pre"], rates: Float[Array, "*batch pre"]) -> Array:
    return rates @ weights.T


def _somata(soma, potentials, opinions, dt):
    steps = [soma.step(u, heard, dt) for u, heard in zip(potentials, opinions, strict=True)]
    return tuple(u for u, _ in steps), tuple(shown for _, shown in steps)


def _learn(rule, weights, errors, traces, rates, bounds, memory, dt):
    """New weights and memory of one kind of synapse, layer by layer."""
    updated = []
    layers = zip(weights, errors, traces, rates, bounds, memory, strict=True)
    for w, error, trace, eta, bound, past in layers:
        if isinstance(eta, float) and eta == 0:
            updated.append((w, past))
            continue
        change, past = rule.update(error, trace, past, dt)
        updated.append((jnp.clip(w + eta * change, -bound, bound), past))
    return tuple(w for w, _ in updated), tuple(past for _, past in updated)


def _fit(name, value, like):
    """The input in the shape and type of the state; a missing batch axis is filled in."""
    try:
        return jnp.broadcast_to(jnp.asarray(value, like.dtype), like.shape)
    except ValueError:
        raise InputError(
            f"`{name}` has shape {jnp.shape(value)}; it must fit the state's {like.shape}."
        ) from None


def _all_finite(patterns):
    for name, value in patterns._asdict().items():
        if known(value) is not None:
            finite(f"patterns.{name}", value)


def _per_layer(name, value, n, kind, unit="1/ms", largest=None) -> Any:
    """One value per layer, from one for all or from a list."""
    values = tuple(value) if isinstance(value, list | tuple) else (value,) * n
    if len(values) != n:
        raise InputError(
            f"`{name}` has {len(values)} values; it must be one number or {n}, one per {kind}."
        )
    for i, entry in enumerate(values):
        number = known(entry)
        if number is not None and not (largest is not None and number == largest):
            in_range(f"{name}[{i}]", number, 0, unit=unit)
    return tuple(float(v) if isinstance(v, int | float) else v for v in values)
