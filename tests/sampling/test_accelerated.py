"""The sampler on JAX and the one on the compiled engine: the same neuron, the same distribution."""

import jax.numpy as jnp
import numpy as np
import pytest

from lapicque._checks import InputError
from lapicque.sampling import Boltzmann, LIFSampler, beta_ensemble, index, predict
from lapicque.sampling.accelerated import AcceleratedLIFSampler, _mix, _streams
from lapicque.spiking import TsodyksMarkram


def divergence(states, target):
    p = np.bincount(index(states).ravel(), minlength=2**target.n) / states[..., 0].size
    on = p > 0
    return float((p[on] * np.log(p[on] / target.probabilities[on])).sum())


@pytest.mark.parametrize("preset", ["mixing_cuba", "tutorial_coba"])
def test_activity_of_uncoupled_units(preset):
    target = Boltzmann(np.zeros((4, 4)), np.array([-1.5, 0.0, 0.5, 1.5]))
    found = []
    for sampler in (AcceleratedLIFSampler, LIFSampler):
        chains = sampler(predict(preset)).start(target, 64, 0)
        chains.run(30)
        found.append(chains.run(500).mean((0, 1)))
    assert found[0] == pytest.approx(found[1], abs=5 * np.sqrt(0.75 / 64 / 500))


@pytest.mark.parametrize("preset", ["mixing_cuba", "tutorial_coba"])
@pytest.mark.parametrize("synapses", ["renewing", "static", TsodyksMarkram(0.2, 50.0, 40.0)])
def test_same_distribution(preset, synapses):
    target = beta_ensemble(5, 1)
    joint = []
    for sampler in (AcceleratedLIFSampler, LIFSampler):
        chains = sampler(predict(preset), synapses, interval=5.0).start(target, 64, 1)
        chains.run(60)
        z = chains.run(800)
        joint.append(np.bincount(index(z).ravel(), minlength=32) / z[..., 0].size)
    assert np.abs(joint[0] - joint[1]).sum() / 2 < 0.025


def test_a_chain_does_not_depend_on_the_others():
    sampler = AcceleratedLIFSampler(predict("mixing_cuba"))
    many, one = (sampler.start(beta_ensemble(4, 0), n, 3) for n in (5, 1))
    a, b = many.run(50), one.run(50)
    np.testing.assert_array_equal(a[:, 0], b[:, 0])
    assert (a[:, 0] != a[:, 1]).any()
    parts = sampler.start(beta_ensemble(4, 0), 1, 3)
    np.testing.assert_array_equal(np.concatenate([parts.run(20), parts.run(30)]), b)


def test_clamping_and_new_parameters():
    chains = AcceleratedLIFSampler(predict("tutorial_cuba")).start(beta_ensemble(4, 0), 8, 0)
    chains.clamp([0, 2], [1, 0])
    chains.run(30)
    z = chains.run(200)
    assert z[..., 0].mean() > 0.97
    assert z[..., 2].mean() < 0.01
    chains.clamp([], [])
    chains.update(beta_ensemble(4, 2))
    chains.run(30)
    assert divergence(chains.run(3000), beta_ensemble(4, 2)) < 0.03
    with pytest.raises(InputError, match="5 units"):
        chains.update(beta_ensemble(5, 0))


def test_random_words_are_uniform_and_unrelated():
    base = jnp.asarray(_streams(0, 50, 40))
    words = np.stack([np.asarray(_mix(base ^ _mix(jnp.uint32(t)))) for t in range(200)])
    u = words / 2.0**32
    assert u.mean() == pytest.approx(0.5, abs=5 * np.sqrt(1 / 12 / u.size))
    assert (u**2).mean() == pytest.approx(1 / 3, abs=5 * np.sqrt(4 / 45 / u.size))
    centred = u - 0.5
    for a, b in (
        (centred[1:], centred[:-1]),
        (centred[:, 1:], centred[:, :-1]),
        (centred[:, :, 1:], centred[:, :, :-1]),
    ):
        assert abs((a * b).mean() * 12) < 5 / np.sqrt(a.size)


def test_other_noise_is_refused():
    class Other:
        def attach(self, network, neurons, preset): ...

    with pytest.raises(InputError, match="private"):
        AcceleratedLIFSampler(predict("mixing_cuba"), noise=Other(), recalibrated=True)


@pytest.mark.gpu
def test_on_an_accelerator():
    import jax

    assert jax.default_backend() == "gpu"
    target = beta_ensemble(5, 0)
    chains = AcceleratedLIFSampler(predict("mixing_cuba")).start(target, 4096, 0)
    chains.run(50)
    assert divergence(chains.run(100), target) < 0.03
