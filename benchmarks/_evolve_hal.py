"""hal-cgp on arrays, 12 x 2 nodes, 10 + 10, p = 0.03, levels back 5; prints a line of JSON.

The search is that of `_evolve_lapicque.py`. The repository's folder is the variable HAL_CGP.
"""

import os
import sys
import time

sys.path.insert(0, os.environ["HAL_CGP"])

import cgp
import numpy as np
from _evolve import SOLVED, points, report

INPUTS, TARGET = points()
COUNT = 0
GENOME = {
    "n_inputs": 2, "n_outputs": 1, "n_columns": 12, "n_rows": 2, "levels_back": 5,
    "primitives": (cgp.Add, cgp.Sub, cgp.Mul, cgp.ConstantFloat),
}  # fmt: skip


def objective(individual):
    global COUNT
    if not individual.fitness_is_None():
        return individual
    COUNT += 1
    with np.errstate(all="ignore"):
        error = np.mean((individual.to_numpy()(*INPUTS) - TARGET) ** 2)
    individual.fitness = -error if np.isfinite(error) else -np.inf
    return individual


def evolved(seed: int, generations: int, goal: float, seconds: float = np.inf) -> dict:
    global COUNT
    COUNT, end = 0, time.perf_counter() + seconds
    population = cgp.Population(n_parents=10, seed=seed + 1, genome_params=GENOME)
    search = cgp.ea.MuPlusLambda(n_offsprings=10, tournament_size=1, mutation_rate=0.03)
    search.initialize_fitness_parents(population, objective)
    made = 0
    while made < generations and time.perf_counter() < end:
        search.step(population, objective)
        made += 1
        if population.champion.fitness >= goal:
            break
    solved = population.champion.fitness >= -SOLVED
    return {"solved": bool(solved), "generations": made, "evaluations": COUNT}


def single(seed: int) -> dict:
    return evolved(seed, 1000, -SOLVED)


def steady(seconds: float) -> dict:
    return evolved(100, 10**9, 1.0, seconds)


if __name__ == "__main__":
    report("hal-cgp", single, steady)
