"""Tasks of evolving to learn: their neurons, their traces, and what published rules achieve."""

import pickle
from dataclasses import replace
from math import exp

import numpy as np
import pytest

from lapicque._checks import InputError
from lapicque.evolve import Evaluator, Search, generation
from lapicque.evolve.program import Program, parse
from lapicque.evolve.rules import spiking_rule
from lapicque.evolve.tasks import correlation, error, reward
from lapicque.evolve.tasks._neuron import propagators, psp_peak
from lapicque.evolve.tasks.correlation import HOMEOSTATIC, UNCHANGED, CorrelationTask
from lapicque.evolve.tasks.error import GRADIENT, ErrorTask
from lapicque.evolve.tasks.reward import URBANCZIK_SENN, Eligibility, RewardTask
from lapicque.experiments.evolving_to_learn import _champions as published
from lapicque.spiking import LIF, AllToAll, CurrentDelta, Network, Simulation, SpikeArray

H = 0.1  # ms


def test_neuron():
    """Propagators and the peak of the response to 1 pA, as stated for the published neuron."""
    expected = (0.951229424501, 0.990049833749, 3.882040924845e-4)
    np.testing.assert_allclose(propagators(H), expected, rtol=1e-11)
    np.testing.assert_allclose(psp_peak(), (4.02359, 0.0053499224), rtol=2e-6)


def test_published_genomes():
    """Lengths of genomes and the number of genes that can change."""
    grids = (RewardTask().grid(), ErrorTask().grid(), CorrelationTask().grids()[0])
    for grid, length, mutable in zip(grids, (24, 48, 24), (16, 37, 16), strict=True):
        genome = grid.random(np.random.default_rng(0), 1)[0]
        assert len(grid.to_dna(genome)) == length
        assert (grid.choices > 1).sum() == mutable


def test_genome_by_hand():
    """(R - 1) E from the numbers of its genome: one, difference, product."""
    grid = RewardTask().grid()
    dna = [-1, -3, -3, -1, -3, -3, 4, 0, 0, 1, 0, 2, 2, 3, 1, 0, 0, 0, 6, 1, 4, -2, 4, -3]
    program = Program.decode(grid, grid.from_dna(dna))
    assert program.key == URBANCZIK_SENN.key


def test_published_champions_are_read():
    """All parse; those of four operations that fit into the published grid survive a genome."""
    rules = [(c.rule, RewardTask().grid()) for c in published.REWARDED]
    rules += [(c.rule, ErrorTask().grid()) for c in published.CORRECTED]
    for c in published.CORRELATED:
        rules += [(c.f_dep, CorrelationTask().grids()[0]), (c.f_fac, CorrelationTask().grids()[1])]
    fit = 0
    for text, grid in rules:
        program = parse(text, grid.inputs)
        known = {(p.code, p.value) for p in grid.primitives}
        if len(program.steps) <= grid.nodes and all(
            (s.primitive.code, s.value) in known for s in program.steps
        ):
            assert Program.decode(grid, program.encode(grid)).key == program.key
            fit += 1
    assert len(rules) == 35
    assert fit >= 12


@pytest.mark.parametrize("champion", published.CORRECTED, ids=lambda c: f"run{c.run}")
def test_slopes(champion):
    """Five of six champions are the gradient, once or twice; one does not depend on the input."""
    rule, at = parse(champion.rule, error.SIGNALS), (-59.5, -60.0)
    assert rule(*at, 0.01) / GRADIENT(*at, 0.01) == pytest.approx(champion.slope, abs=1e-4)
    grows = rule(*at, 0.02) / rule(*at, 0.01)
    assert grows == pytest.approx(1.0 if champion.run == 1 else 2.0, rel=0.03)


def test_mutation():
    """Genes change independently; children in which only silent ones did keep their fitness."""
    grid, rng = RewardTask().grid(), np.random.default_rng(1)
    parents = grid.random(rng, 20_000)
    children = grid.mutate(rng, parents, 0.045)
    assert (parents != children).sum(1).mean() == pytest.approx(0.045 * 16, rel=0.03)
    search = Search((grid,), parents=4, children=4, rate=0.045)
    state, evaluator = search.init(), Evaluator(lambda rule: float(np.sin(rule(1.0, 0.3) * 50)))
    kept = 0
    for _ in range(30):
        asked = search.ask(state)
        parents = {value: Program.decode(grid, g).key
                   for value, g in zip(state.fitness, state.genomes, strict=True)}  # fmt: skip
        for value, child in zip(asked.fitness, asked.genomes, strict=True):
            if value in parents:
                assert Program.decode(grid, child).key == parents[value]
                kept += 1
        state = generation(search, state, evaluator)
    assert kept > 60
    assert int(state.evaluations) == 4 + 29 * 4 - kept


# -- reward ----------------------------------------------------------------------------------------


def test_eligibility_by_the_adjoint():
    """Traces that are found backwards equal those of each synapse run forwards; they decay."""
    rng = np.random.default_rng(0)
    steps, n = 5000, 6
    step = np.sort(rng.integers(10, 2000, 12))
    synapse = rng.integers(0, n - 1, 12)
    surprise = rng.normal(size=steps)
    surprise[2500:] = 0
    p, trace = propagators(H), (exp(-H / 500), 0.37, 5.0, 1e-3)
    found = np.empty(n)
    reward.eligibilities(step, synapse, surprise, p, trace, found)

    u, i, expected, half = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    for t in range(steps):
        u = u * p.p22 + i * p.p21
        i = i * p.p11
        np.add.at(i, synapse[step == t], 1.0)
        expected = expected * trace[0] + trace[1] * u * surprise[t]
        half = expected if t == 2499 else half
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(found, half * exp(-250 / 500), rtol=1e-9)
    assert found[n - 1] == 0


def test_right_answers_teach_nothing():
    """(R - 1) E leaves weights alone while all is right; so it equals a rule with another clause
    until the first mistake, and any multiple of R - 1 is the same as half of it for R = -1."""
    task = RewardTask(experiments=2, trials=40)
    rewards = task.rewards(URBANCZIK_SENN)
    same = task.rewards(parse("if_else(R, 0, -2 * E)", reward.SIGNALS[0]))
    np.testing.assert_array_equal(rewards, same)
    frozen = task.rewards(parse("0 * E", reward.SIGNALS[0]))
    for learned, control in zip(rewards, frozen, strict=True):
        first = int(np.argmin(learned))
        np.testing.assert_array_equal(learned[: first + 1], control[: first + 1])


def test_reward():
    """The baseline earns what was published, and much more than a neuron that does not learn."""
    task = RewardTask()
    learned = task(URBANCZIK_SENN)
    assert 140 <= learned <= 260
    assert learned - task(parse("0 * E", task.signals)) >= 80
    signals = reward.SIGNALS[2]
    wide = replace(task, signals=signals, experiments=2, trials=60)
    narrow = replace(wide, signals=("R", "E"))
    assert wide(parse("(R - 1) * E", signals)) == narrow(URBANCZIK_SENN)
    mean = replace(wide, signals=("R", "E", "m"))
    assert wide(parse("(R - p - n) * E", signals)) == mean(parse("(R - m) * E", mean.signals))


def test_consistent_eligibility_counts_a_spike_as_much():
    """The gain makes up for the other width of the escape."""
    published, own = Eligibility(), Eligibility.consistent()
    assert own.gain / own.delta == pytest.approx(published.gain / published.delta)
    assert np.isfinite(RewardTask(experiments=1, trials=20, eligibility=own)(URBANCZIK_SENN))


# -- error -----------------------------------------------------------------------------------------


def test_error():
    """Distances of the gradient, of twice the gradient, of the rule without input, of nothing."""
    task = ErrorTask()
    gradient = task(GRADIENT)
    assert -17 <= gradient <= -9
    assert 0.05 <= 1 - task(parse("2 * p * (v - u)", error.SIGNALS)) / gradient <= 0.25
    run_1 = next(c.rule for c in published.CORRECTED if c.run == 1)
    assert 1.5 <= task(parse(run_1, error.SIGNALS)) / gradient <= 2.5
    assert task(parse("0 * u", error.SIGNALS)) < -80


def test_error_without_learning_is_linear():
    """Potentials of a student that does not learn and of its teacher, by convolution."""
    task = ErrorTask(experiments=1, duration=400.0, transient=50.0)
    potentials, weights, teacher = task.learn(0, parse("0 * u", error.SIGNALS))
    assert (weights == task.start).all()
    counts = error._instance(task, 0)[0].astype(float)
    time = np.arange(len(counts)) * H
    kernel = np.array([propagators(t).p21 if t > 0 else 0.0 for t in time])
    psp = np.stack([np.convolve(row, kernel)[: len(counts)] for row in counts.T], axis=1)
    expected = np.stack([psp.sum(1) * task.start, psp @ teacher], axis=1)[::10]
    np.testing.assert_allclose(potentials, expected, atol=1e-9)


# -- correlation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("clip", ["published", "both"])
def test_correlation_against_the_spiking_engine(clip):
    """The same spikes to the step and the same weights, from event to event and step by step."""
    task = CorrelationTask(
        experiments=1, n=200, rate=10.0, duration=1500.0, start=(0.5, 0.0), eta=0.05, clip=clip,
        equalise=False, seed=3,
    )  # fmt: skip
    given = task.input(0)
    trains = [given.step[given.source == j] * H for j in range(task.n)]
    assert all(len(np.unique(t)) == len(t) for t in trains)
    rules = parse("E / w - w", correlation.SIGNALS), parse("(w*E)**w - 1", correlation.SIGNALS)
    weights, fired = task.learn(0, *rules)

    network = Network()
    source = network.population(task.n, SpikeArray(trains))
    cell = network.population(
        1, LIF(v_rest=0, v_reset=0, v_thresh=20, tau_m=18, tau_refrac=2), CurrentDelta()
    )
    rule = spiking_rule(*rules, task.eta, clip=clip)
    synapses = network.project(source, cell, AllToAll(), 0.5, 1.0, plasticity=rule)
    simulation = Simulation(network, dt=H, seed=0)
    spikes = simulation.run(task.duration).spikes(cell)
    assert len(fired) > 5
    np.testing.assert_array_equal(np.rint(spikes.time / H), fired)
    theirs = np.maximum(simulation.weights(synapses)[0], 0)
    np.testing.assert_allclose(weights, theirs, atol=1e-12)


def test_correlation_input():
    """A quarter of the inputs fires once in the pattern; all fire equally often."""
    task = CorrelationTask(experiments=1, seed=2)
    given = task.input(0)
    assert given.takes_part.mean() == pytest.approx(1 - exp(-0.3), abs=0.04)
    assert given.onsets[:2].tolist() == [4001, 9001]
    window = (given.step >= given.onsets[3]) & (given.step < given.onsets[3] + 1000)
    assert sorted(given.source[window]) == np.flatnonzero(given.takes_part).tolist()
    rates = np.bincount(given.source, minlength=task.n) / 100.0
    assert rates[given.takes_part].mean() == pytest.approx(2.4, rel=0.02)
    assert rates[~given.takes_part].mean() == pytest.approx(2.4, rel=0.02)


def test_correlation():
    """Ratios without learning, of two published champions and of the rule designed by hand."""
    task = CorrelationTask(experiments=6, start=(0.5, 0.0))
    rules = {c.run: (c.f_dep, c.f_fac) for c in published.CORRELATED}
    assert 2.3 <= task.ratios(*UNCHANGED).mean() <= 4.5
    of = {
        run: task.ratios(*(parse(text, correlation.SIGNALS) for text in rules[run])).mean()
        for run in ("9, 19", "18")
    }
    assert of["9, 19"] > 8
    assert of["18"] > 12
    longer = replace(task, clip="both", duration=200_000.0)
    assert longer.ratios(*HOMEOSTATIC).mean() > 12


# -- all -------------------------------------------------------------------------------------------


def test_fitness_is_a_pure_function():
    """A task gives the same after a journey through pickle, and another for another seed."""
    for task, rule in (
        (RewardTask(experiments=1, trials=20), (URBANCZIK_SENN,)),
        (ErrorTask(experiments=1, duration=1500.0), (GRADIENT,)),
        (CorrelationTask(experiments=1, duration=3000.0), HOMEOSTATIC),
    ):
        value = task(*rule)
        copy, rules = pickle.loads(pickle.dumps((task, rule)))
        assert copy(*rules) == value == task(*rule)
    assert ErrorTask(experiments=1, duration=1500.0, seed=7)(GRADIENT) != ErrorTask(
        experiments=1, duration=1500.0
    )(GRADIENT)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: RewardTask(signals=("R",)), "signals"),
        (lambda: RewardTask(h=0.3), "multiple of 0.3 ms"),
        (lambda: RewardTask()(parse("R", ("R", "E", "m"))), "rule.inputs"),
        (lambda: ErrorTask(h=-1.0), "above 0 ms"),
        (lambda: CorrelationTask(clip="none"), "clip"),
        (lambda: CorrelationTask(pattern=600.0), "pattern"),
        (lambda: spiking_rule(GRADIENT, GRADIENT, 0.1), "f_dep"),
    ],
)
def test_errors(make, says):
    with pytest.raises(InputError, match=says):
        make()


# -- evolution -------------------------------------------------------------------------------------


def _evolved(task, seed: int, generations: int, rate: float, *seeded) -> Program:
    search = Search((task.grid(),), parents=4, children=4, rate=rate, seed=seed)
    state, evaluator = search.init(*seeded), Evaluator(task)
    for _ in range(generations + 1):
        state = generation(search, state, evaluator)
    return search.champion(state)[0]


@pytest.mark.slow
def test_evolution_finds_the_gradient():
    """In one of three runs a rule that is at most 10 % worse than the gradient and grows with p.

    The rate of mutation is ours; with the published 0.045 none of three runs of 1000 generations
    did, see the experiment.
    """
    task, new = ErrorTask(experiments=3, duration=3000.0), ErrorTask(seed=99)
    for seed in range(3):
        rule = _evolved(task, seed, 600, 0.2)
        grows = rule(-59.5, -60.0, 0.02) / rule(-59.5, -60.0, 0.01)
        if new(rule) >= 1.1 * new(GRADIENT) and abs(grows - 2) < 0.1:
            return
    pytest.fail("none of 3 runs did")


@pytest.mark.slow
def test_evolution_learns_from_mistakes():
    """From R E, in one of four runs, to a rule as good as (R - 1) E on new experiments.

    Rate, step and the number of runs are ours: about half of all runs do with this rate, none of
    three did with 0.045.
    """
    task, new = RewardTask(experiments=5, h=0.5), RewardTask(seed=817818273)
    for seed in range(4):
        rule = _evolved(task, seed, 200, 0.2, (parse("R * E", task.signals),))
        if new(rule) >= 0.9 * new(URBANCZIK_SENN):
            return
    pytest.fail("none of 4 runs did")
