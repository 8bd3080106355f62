"""The compiled search: 12 x 2 nodes, 10 + 10, p = 0.03, levels back 5; prints a line of JSON."""

from _evolve import MOST, SOLVED, points, repeated, report

from lapicque.evolve import Add, Grid, Mul, Search, Sub, constant
from lapicque.evolve.regression import Regression

GRID = Grid(("x", "y"), (Add, Sub, Mul, constant(1.0)), 12, 2, 5)


def made(seed: int) -> Regression:
    return Regression(Search((GRID,), 10, 10, 1, 0.03, seed=seed), *points())


def single(seed: int) -> dict:
    regression = made(seed)
    state, _ = regression.run(regression.init(), MOST // 10, -SOLVED)
    return {
        "solved": bool(state.fitness[0] >= -SOLVED),
        "generations": int(state.generation),
        "evaluations": int(state.evaluations),
    }


def steady(seconds: float) -> dict:
    """Without a goal, so that populations go on drifting; a new one every 2000 generations."""

    lengths = []

    def run(seed: int) -> int:
        regression = made(seed)
        state, _ = regression.run(regression.init(), 2000, 1.0)
        lengths.extend(int(GRID.active_nodes(genome).sum()) for genome in state.genomes)
        return int(state.evaluations)

    found = repeated(run, seconds)
    return found | {"length": sum(lengths) / len(lengths)}


if __name__ == "__main__":
    report("lapicque", single, steady)
