"""pyoperon without local search, one thread, population 1000; prints a line of JSON.

Constants are integers and stay as they are. Its squared errors are always of the best linear
scaling of an expression. It has no goal at which to stop, so a run to solution is repeated with one
more generation each time until the returned model is exact, and the last one is timed.
"""

import warnings

import numpy as np
from _evolve import SOLVED, points, report, timed
from pyoperon.sklearn import SymbolicRegressor

INPUTS, TARGET = points()
POPULATION = 1000


def fitted(seed: int, generations: int, seconds: int | None = None):
    model = SymbolicRegressor(
        allowed_symbols="add,sub,mul,constant,variable",
        symbolic_mode=True,
        optimizer_iterations=0,
        local_search_probability=0.0,
        objectives=["mse"],
        model_selection_criterion="mean_squared_error",
        max_length=24,
        population_size=POPULATION,
        max_evaluations=10**9,
        generations=generations,
        max_time=seconds,
        n_threads=1,
        random_state=seed + 1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(INPUTS.T, TARGET)


def single(seed: int) -> dict:
    for generations in range(1, 101):
        found = timed(lambda n=generations: {"model": fitted(seed, n)})
        model = found.pop("model")
        # it computes in single precision
        solved = np.mean((model.predict(INPUTS.T) - TARGET) ** 2) <= max(SOLVED, 1e-6)
        if solved:
            break
    count = model.stats_["evaluation_count"]
    return {"solved": bool(solved), "generations": generations, "evaluations": count} | found


def steady(seconds: float) -> dict:
    model = fitted(7, 10**6, max(1, round(seconds)))
    lengths = [individual.Genotype.Length for individual in model.individuals_[:POPULATION]]
    return {"evaluations": model.stats_["evaluation_count"], "length": float(np.mean(lengths))}


if __name__ == "__main__":
    report("pyoperon", single, steady)
