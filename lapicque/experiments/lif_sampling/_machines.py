"""What the experiments on random machines have in common."""

from collections.abc import Callable

import numpy as np

from lapicque.sampling import Boltzmann, Sampler, beta_ensemble, gauss_ensemble
from lapicque.sampling.observables import empirical

ENSEMBLES: dict[str, Callable[[int, int], Boltzmann]] = {
    "beta": beta_ensemble,
    "gauss": gauss_ensemble,
}
OWN = "our own runs of another program, 5 machines of 100 s"
_PIECE = 20_000_000  # states times units in memory


def visited(
    sampler: Sampler, target: Boltzmann, chains: int, samples: int, warm_up: int, seed: int
) -> np.ndarray:
    """Share of each state that each chain visits, (chains, states)."""
    running = sampler.start(target, chains, seed)
    running.run(warm_up)
    total, done = np.zeros((chains, 2**target.n)), 0
    piece = max(1, _PIECE // (chains * target.n))
    while done < samples:
        part = min(piece, samples - done)
        found = running.run(part)
        total += part * np.stack([empirical(found[:, k]) for k in range(chains)])
        done += part
    return total / samples
