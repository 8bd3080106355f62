"""gplearn with its defaults but for the functions, population 500; prints a line of JSON."""

from _evolve import SOLVED, points, repeated, report
from gplearn.genetic import SymbolicRegressor

INPUTS, TARGET = points()


def fitted(seed: int, generations: int, goal: float):
    model = SymbolicRegressor(
        population_size=500,
        generations=generations,
        function_set=("add", "sub", "mul"),
        metric="mse",
        stopping_criteria=goal,
        random_state=seed,
        n_jobs=1,
    )
    return model.fit(INPUTS.T, TARGET)


def single(seed: int) -> dict:
    model = fitted(seed, 20, SOLVED)
    made = len(model.run_details_["generation"])
    error = model.run_details_["best_fitness"][-1]
    return {"solved": bool(error <= SOLVED), "generations": made, "evaluations": 500 * made}


def steady(seconds: float) -> dict:
    return repeated(lambda seed: 500 * (fitted(seed + 100, 2, -1.0) and 2), seconds)


if __name__ == "__main__":
    report("gplearn", single, steady)
