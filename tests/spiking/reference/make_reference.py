"""Write the runs of NEST that the spiking engine is compared with.

    pip install nest-simulator==3.10.0 h5py
    python make_reference.py [nest.h5]

Parameters stand in the attributes of the groups, in the names and units of PyNN (ms, mV, nF, nA,
uS; `a` of AdEx in nS); NEST gets them converted. Times are in ms on a grid of 0.1 ms, `*_steps` in
steps of that grid. A step that is repeated means several spikes at once.

What NEST does, found by doing the same elsewhere:
- A spike's time s is the end of the step in which the threshold was met (>=); there the membrane is
  already reset. It stays so for tau_refrac: the first step that moves it begins at s + tau_refrac.
- A spike sent at s over a delay d is in the synaptic variable from s + d on, and moves the membrane
  in the step after. A jump of the membrane itself (delta) is in it at s + d, before the threshold
  is looked at, and is lost in the steps that hold the membrane. Synapses evolve in those, too.
- The peak of an alpha kernel is the weight (reached after tau_syn).
- AdEx meets `v_spike` (not `v_thresh`) within a step: the membrane is reset and `b` added there and
  then, the rest of the step is refractory, too, and tau_refrac counts from the end of that step.
  Exponential, leak and `a` see min(v, v_spike), and v_reset during refractoriness.
- STDP: all of the delay is dendritic. When a presynaptic spike leaves, first come all postsynaptic
  ones since the last that have reached the synapse (s + d, up to and including now), with the
  presynaptic trace of that last one; then depression by those strictly before now; then the
  weight is delivered. Weights are relative to Wmax, and clipped to 0..1. With nearest neighbours
  (`stdp_nn_symm_synapse`) both traces have the latest spike alone.

A membrane sample `v[k]` belongs to the time `v_first_ms + k v_step_ms`, after all that happens at
that time; at time 0 the membrane is at `v_init`.
"""

import argparse
import os
from pathlib import Path

import h5py
import numpy as np

os.environ.setdefault("PYNEST_QUIET", "1")
import nest

DT = 0.1  # ms
V_MS = 200.0  # so much of each membrane trace is kept

MODELS = {
    "iaf_psc_exp": "IF_curr_exp",
    "iaf_psc_alpha": "IF_curr_alpha",
    "iaf_psc_delta": "IF_curr_delta",
    "iaf_cond_exp": "IF_cond_exp",
    "iaf_cond_alpha": "IF_cond_alpha",
    "aeif_cond_exp": "EIF_cond_exp_isfa_ista",
    "aeif_cond_alpha": "EIF_cond_alpha_isfa_ista",
}

CORTEX = {"v_rest": -65.0, "v_reset": -65.0, "v_thresh": -50.0, "cm": 0.25, "tau_refrac": 2.0}
SYNAPSES = {"tau_syn_E": 2.0, "tau_syn_I": 5.0}
SAMPLING = {"v_thresh": -50.0, "v_reset": -50.001, "cm": 0.2, "tau_m": 1.0, "tau_refrac": 10.0}
SLOW = {"tau_syn_E": 10.0, "tau_syn_I": 10.0}
BALANCED = {"v_rest": -60.0, "v_reset": -60.0, "v_thresh": -50.0, "cm": 0.2, "tau_m": 20.0}
BALANCED |= {"tau_refrac": 5.0, "tau_syn_E": 5.0, "tau_syn_I": 10.0, "e_rev_E": 0.0}
BALANCED |= {"e_rev_I": -80.0}
ADEX = {"v_rest": -70.0, "v_reset": -70.0, "v_thresh": -50.0, "cm": 0.25, "tau_m": 15.0}
ADEX |= {"tau_refrac": 5.0, "tau_syn_E": 5.0, "tau_syn_I": 5.0, "e_rev_E": 0.0, "e_rev_I": -80.0}
ADEX |= {"delta_T": 2.5, "a": 1.0, "b": 0.005, "tau_w": 600.0, "v_spike": -40.0}

# name: (NEST's model, parameters, [rate (Hz), weight] of excitation and inhibition, step current)
NEURONS = {
    "curr_exp_cortical": (
        "iaf_psc_exp",
        CORTEX | SYNAPSES | {"tau_m": 15.0},
        ((2000.0, 0.1), (500.0, -0.08)),
        0.3,
    ),
    "curr_exp_sampling": (
        "iaf_psc_exp",
        SAMPLING | SLOW | {"v_rest": -50.0056},
        ((1000.0, 0.001), (1000.0, -0.001)),
        0.01,
    ),
    "curr_alpha": (
        "iaf_psc_alpha",
        CORTEX | SYNAPSES | {"tau_m": 10.0},
        ((1500.0, 0.08), (400.0, -0.05)),
        0.45,
    ),
    "curr_delta": (
        "iaf_psc_delta",
        CORTEX | {"tau_m": 20.0},
        ((2000.0, 0.5), (500.0, -0.6)),
        0.2,
    ),
    "cond_exp_balanced": (
        "iaf_cond_exp",
        BALANCED,
        ((1000.0, 0.006), (200.0, 0.067)),
        0.15,
    ),
    "cond_exp_sampling": (
        "iaf_cond_exp",
        SAMPLING | SLOW | {"v_rest": -50.614, "e_rev_E": 0.0, "e_rev_I": -100.0},
        ((3000.0, 0.001), (3000.0, 0.001)),
        0.2,
    ),
    "cond_alpha": (
        "iaf_cond_alpha",
        BALANCED | SYNAPSES,
        ((1000.0, 0.004), (200.0, 0.02)),
        0.15,
    ),
    "adex_exp": (
        "aeif_cond_exp",
        ADEX,
        ((1000.0, 0.009), (200.0, 0.09)),
        0.6,
    ),
    "eif_exp": (
        "aeif_cond_exp",
        ADEX | {"a": 0.0, "b": 0.0},
        ((1000.0, 0.009), (200.0, 0.09)),
        0.45,
    ),
    "adex_alpha": (
        "aeif_cond_alpha",
        ADEX | {"tau_syn_E": 2.0},
        ((1000.0, 0.009), (200.0, 0.03)),
        0.6,
    ),
}

_SAME = {"v_rest": "E_L", "v_reset": "V_reset", "v_thresh": "V_th", "tau_refrac": "t_ref"}
_SAME |= {"tau_syn_E": "tau_syn_ex", "tau_syn_I": "tau_syn_in", "e_rev_E": "E_ex"}
_SAME |= {"e_rev_I": "E_in", "delta_T": "Delta_T", "a": "a", "tau_w": "tau_w", "v_spike": "V_peak"}
_THOUSANDFOLD = {"cm": "C_m", "i_offset": "I_e", "b": "b"}  # nF, nA -> pF, pA


def fresh() -> None:
    """An empty simulation on the grid of 0.1 ms."""
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.resolution = DT


def nest_parameters(model: str, parameters: dict) -> dict:
    """NEST's parameters from those of PyNN; the membrane starts at rest."""
    native = {_SAME[name]: value for name, value in parameters.items() if name in _SAME}
    native |= {
        _THOUSANDFOLD[name]: 1000.0 * value
        for name, value in parameters.items()
        if name in _THOUSANDFOLD
    }
    if "cond" in model:
        native["g_L"] = 1000.0 * parameters["cm"] / parameters["tau_m"]
    else:
        native["tau_m"] = parameters["tau_m"]
    if model.startswith("aeif"):
        native["gsl_error_tol"] = 1e-9
    return native | {"V_m": parameters["v_rest"]}


def nest_weight(model: str, weight: float | np.ndarray, inhibitory: bool = False):
    """NEST's weight [pA, nS, mV] from ours [nA, uS, mV]; its inhibitory conductances are < 0."""
    if model == "iaf_psc_delta":
        return weight
    return -1000.0 * weight if inhibitory and "cond" in model else 1000.0 * weight


def poisson_steps(rng: np.random.Generator, rate: float, ms: float) -> np.ndarray:
    """Steps of a Poisson train of `rate` [Hz]; a step occurs as often as it has spikes."""
    steps = np.arange(1, round(ms / DT))
    return np.repeat(steps, rng.poisson(rate * DT / 1000.0, len(steps))).astype(np.int32)


def generator(steps: np.ndarray):
    """A source of spikes at these steps."""
    return nest.Create("spike_generator", params={"spike_times": np.round(steps * DT, 1)})


def spike_times(recorder) -> tuple[np.ndarray, np.ndarray]:
    """Times [ms] and senders, in order of time and then of sender."""
    events = recorder.events
    order = np.lexsort((events["senders"], events["times"]))
    return np.round(events["times"][order], 1), events["senders"][order]


def write(group: h5py.Group, datasets: dict, **attributes) -> None:
    """Arrays and attributes of one run."""
    for name, values in datasets.items():
        group.create_dataset(
            name, data=values, compression="gzip", compression_opts=9, shuffle=True
        )
    group.attrs.update(attributes)


def single(model: str, parameters: dict, ms: float, inputs: dict, delay: float) -> dict:
    """One neuron with trains of input `{weight for NEST: steps}`: spikes and membrane."""
    fresh()
    neuron = nest.Create(model, params=nest_parameters(model, parameters))
    for weight, steps in inputs.items():
        nest.Connect(generator(steps), neuron, syn_spec={"weight": weight, "delay": delay})
    recorder = nest.Create("spike_recorder")
    nest.Connect(neuron, recorder)
    params = {"record_from": ["V_m"], "interval": DT, "stop": V_MS}
    meter = nest.Create("multimeter", params=params)
    nest.Connect(meter, neuron)
    nest.Simulate(ms)
    events = meter.events
    assert np.allclose(events["times"][:2], [DT, 2 * DT])
    return {"spikes_ms": spike_times(recorder)[0], "v": events["V_m"]}


def sample_times(step: float = DT) -> dict:
    return {"v_first_ms": step, "v_step_ms": step}


def single_neurons(file: h5py.File, ms: float = 10000.0, delay: float = 1.0) -> None:
    """Each model with Poisson input, and with a constant current."""
    for seed, (name, (model, parameters, inputs, current)) in enumerate(NEURONS.items()):
        rng = np.random.default_rng(seed)
        trains = [poisson_steps(rng, rate, ms) for rate, _ in inputs]
        (_, excitatory), (_, inhibitory) = inputs
        weights = nest_weight(model, excitatory), nest_weight(model, inhibitory, True)
        parameters = parameters | {"i_offset": 0.0}
        answer = single(model, parameters, ms, dict(zip(weights, trains, strict=True)), delay)
        group = file.create_group(f"neurons/{name}")
        unit = "mV" if "delta" in model else "uS" if "cond" in model else "nA"
        write(
            group,
            {"exc_steps": trains[0], "inh_steps": trains[1], **answer},
            **parameters,
            **sample_times(),
            nest_model=model,
            pynn_model=MODELS[model],
            v_init=parameters["v_rest"],
            weight_exc=excitatory,
            weight_inh=inhibitory,
            weight_unit=unit,
            delay=delay,
            ms=ms,
        )
        if "a" in parameters:
            group.attrs["a_unit"] = "nS"
        driven = parameters | {"i_offset": current}
        step = single(model, driven, 1000.0, {}, delay)
        write(group.create_group("step_current"), step, i_offset=current, ms=1000.0)
        rate = len(answer["spikes_ms"]) / ms * 1000.0
        print(f"{name:20s} {rate:6.1f} Hz with input, {len(step['spikes_ms'])} Hz with current")


def small_networks(file: h5py.File, n: int = 20, ms: float = 2000.0, delay: float = 1.0) -> None:
    """Random networks with random delays; the last fifth of the neurons inhibits."""
    kinds = {
        "curr_exp": ("curr_exp_cortical", 0.25, (0.15, -0.4), 700.0),
        "cond_exp": ("cond_exp_balanced", 0.012, (0.006, 0.05), 170.0),
    }
    for seed, (name, (neuron, drive, scales, rate)) in enumerate(kinds.items()):
        model, parameters, *_ = NEURONS[neuron]
        parameters = parameters | {"i_offset": 0.0}
        rng = np.random.default_rng(100 + seed)
        trains = [poisson_steps(rng, rate, ms) for _ in range(n)]
        linked = (rng.random((n, n)) < 0.5) & ~np.eye(n, dtype=bool)
        pre, post = (index.astype(np.int32) for index in np.nonzero(linked))
        inhibitory = pre >= n - n // 5
        weight = np.where(inhibitory, scales[1], scales[0]) * rng.uniform(0.2, 1.8, len(pre))
        delay_steps = rng.integers(1, 31, len(pre)).astype(np.int32)

        fresh()
        cells = nest.Create(model, n, params=nest_parameters(model, parameters))
        strength = nest_weight(model, drive)
        for cell, steps in zip(cells, trains, strict=True):
            nest.Connect(generator(steps), cell, syn_spec={"weight": strength, "delay": delay})
        native = np.where(inhibitory, nest_weight(model, weight, True), nest_weight(model, weight))
        ids = np.asarray(cells.tolist())
        nest.Connect(
            ids[pre],
            ids[post],
            "one_to_one",
            {"weight": native, "delay": np.round(delay_steps * DT, 1)},
        )
        recorder = nest.Create("spike_recorder")
        nest.Connect(cells, recorder)
        nest.Simulate(ms)
        times, senders = spike_times(recorder)
        datasets = {
            "pre": pre,
            "post": post,
            "weight": weight,
            "inhibitory": inhibitory,
            "delay_steps": delay_steps,
            "input_steps": np.concatenate(trains),
            "input_target": np.repeat(np.arange(n), list(map(len, trains))).astype(np.int32),
            "spikes_ms": times,
            "spikes_neuron": (senders - ids[0]).astype(np.int32),
        }
        write(
            file.create_group(f"networks/{name}"),
            datasets,
            **parameters,
            nest_model=model,
            pynn_model=MODELS[model],
            v_init=parameters["v_rest"],
            input_weight=drive,
            input_delay=delay,
            weight_unit="uS" if "cond" in model else "nA",
            n=n,
            ms=ms,
        )
        print(f"network {name}: {len(times) / n / ms * 1000.0:.1f} Hz, {len(pre)} synapses")


def short_term_plasticity(file: h5py.File, ms: float = 1200.0, weight: float = 0.25) -> None:
    """A regular train, a gap and one more spike over synapses of Tsodyks and Markram."""
    kinds = {
        "depressing": {"U": 0.5, "tau_rec": 400.0, "tau_facil": 0.0},
        "facilitating": {"U": 0.1, "tau_rec": 50.0, "tau_facil": 600.0},
        "renewing": {"U": 1.0, "tau_rec": 10.0, "tau_facil": 0.0},
    }
    pre_steps = np.append(100 + 500 * np.arange(10), 10000).astype(np.int32)
    parameters = CORTEX | {"tau_m": 15.0, "tau_syn_E": 10.0, "tau_syn_I": 10.0, "i_offset": 0.0}
    parameters |= {"v_thresh": 1000.0}  # never fires
    for synapse in ("tsodyks2_synapse", "tsodyks_synapse"):
        for name, kind in kinds.items():
            if synapse == "tsodyks_synapse" and kind["tau_rec"] == parameters["tau_syn_E"]:
                continue  # its solution divides by the difference of the two
            fresh()
            native = {"U": kind["U"], "tau_rec": kind["tau_rec"], "tau_fac": kind["tau_facil"]}
            if synapse == "tsodyks2_synapse":
                native["u"] = kind["U"]
            else:
                # Its `u` is that before the jump of the first spike, and it knows how much of the
                # resources is in use only if its `tau_psc` is the neuron's synaptic constant.
                native |= {"u": 0.0, "tau_psc": parameters["tau_syn_E"]}
            neuron = nest.Create("iaf_psc_exp", params=nest_parameters("iaf_psc_exp", parameters))
            parrot = nest.Create("parrot_neuron")  # plastic synapses need a neuron before them
            nest.Connect(generator(pre_steps - 10), parrot, syn_spec={"delay": 1.0})
            syn = {"synapse_model": synapse, "weight": 1000.0 * weight, "delay": 1.0, **native}
            nest.Connect(parrot, neuron, syn_spec=syn)
            meter = nest.Create("multimeter", params={"record_from": ["V_m", "I_syn_ex"]})
            nest.Connect(meter, neuron)
            recorder = nest.Create("spike_recorder")
            nest.Connect(parrot, recorder)
            nest.Simulate(ms)
            assert np.allclose(spike_times(recorder)[0], pre_steps * DT)
            events = meter.events
            write(
                file.create_group(f"short_term/{synapse}/{name}"),
                {"pre_steps": pre_steps, "v": events["V_m"], "i_syn_nA": events["I_syn_ex"] / 1e3},
                **parameters,
                **kind,
                **sample_times(float(events["times"][0])),
                nest_model="iaf_psc_exp",
                v_init=parameters["v_rest"],
                weight=weight,
                delay=1.0,
                ms=ms,
            )
            peaks = events["I_syn_ex"][np.round(pre_steps * DT).astype(int)] / 1e3
            print(f"{synapse} {name}: i_syn at arrival [nA] {np.round(peaks, 4)}")


def spike_timing_plasticity(file: h5py.File, ms: float = 3000.0) -> None:
    """The weight that each presynaptic spike delivers; the other side fires at known times."""
    parameters = CORTEX | SYNAPSES | {"tau_m": 15.0, "i_offset": 0.0}
    parameters |= {"tau_syn_E": 0.2}  # short, so that one strong input makes one spike
    common = {"tau_plus": 20.0, "tau_minus": 30.0, "lambda": 0.02, "alpha": 1.1}
    weight, w_max, delay = 0.01, 0.02, 1.5
    kinds = {
        "additive": ("stdp_synapse", 0.0),
        "multiplicative": ("stdp_synapse", 1.0),
        "intermediate": ("stdp_synapse", 0.4),
        "nearest_additive": ("stdp_nn_symm_synapse", 0.0),
        "nearest_intermediate": ("stdp_nn_symm_synapse", 0.4),
    }
    rng = np.random.default_rng(200)
    pre_steps = np.unique(poisson_steps(rng, 40.0, ms - 20.0)) + 20
    gaps = 60 + rng.geometric(1 / 250.0, 500)  # leaves time for the refractory period
    drive_steps = 50 + np.cumsum(gaps)
    drive_steps = drive_steps[drive_steps < ms / DT - 200]
    # Some pairs meet at the synapse at the same time.
    meetings = drive_steps[::10] + 11 + round(delay / DT)
    pre_steps = np.union1d(pre_steps, meetings).astype(np.int32)
    for name, (synapse, mu) in kinds.items():
        fresh()
        neuron = nest.Create("iaf_psc_exp", params=nest_parameters("iaf_psc_exp", parameters))
        neuron.tau_minus = common["tau_minus"]
        parrot = nest.Create("parrot_neuron")
        nest.Connect(generator(pre_steps - 10), parrot, syn_spec={"delay": 1.0})
        nest.Connect(generator(drive_steps), neuron, syn_spec={"weight": 1e5, "delay": 1.0})
        weights = nest.Create("weight_recorder")
        nest.CopyModel(synapse, "recorded", {"weight_recorder": weights})
        syn = {k: v for k, v in common.items() if k != "tau_minus"}
        syn |= {"mu_plus": mu, "mu_minus": mu, "Wmax": 1e3 * w_max, "weight": 1e3 * weight}
        nest.Connect(parrot, neuron, syn_spec={"synapse_model": "recorded", "delay": delay, **syn})
        recorder = nest.Create("spike_recorder")
        nest.Connect(neuron, recorder)
        nest.Simulate(ms)
        events, post = weights.events, spike_times(recorder)[0]
        assert np.allclose(events["times"], pre_steps * DT)
        assert np.allclose(post, (drive_steps + 11) * DT)  # delay, and one step to the threshold
        write(
            file.create_group(f"stdp/{name}"),
            {
                "pre_steps": pre_steps,
                "post_steps": np.round(post / DT).astype(np.int32),
                "weight": events["weights"] / 1e3,
            },
            **common,
            mu_plus=mu,
            mu_minus=mu,
            Wmax=w_max,
            weight_init=weight,
            weight_unit="nA",
            delay=delay,
            nest_synapse=synapse,
            ms=ms,
        )
        print(
            f"{name}: {len(pre_steps)} pre, {len(post)} post, weight", events["weights"][-1] / 1e3
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).with_name("nest.h5")
    parser.add_argument("path", type=Path, nargs="?", default=default)
    path = parser.parse_args().path
    with h5py.File(path, "w", track_order=True) as file:
        file.attrs.update(simulator="NEST " + nest.__version__, dt_ms=DT, about=__doc__)
        single_neurons(file)
        small_networks(file)
        short_term_plasticity(file)
        spike_timing_plasticity(file)
    print(f"{path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
