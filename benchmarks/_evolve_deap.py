"""DEAP's tree GP as in its example of symbolic regression, on arrays; prints a line of JSON."""

import operator
import random

import numpy as np
from _evolve import SOLVED, points, repeated, report
from deap import algorithms, base, creator, gp, tools

INPUTS, TARGET = points()
POPULATION = 300

primitives = gp.PrimitiveSet("MAIN", 2)
for function in (np.add, np.subtract, np.multiply):
    primitives.addPrimitive(function, 2)
primitives.addTerminal(1.0)
creator.create("Fitness", base.Fitness, weights=(-1.0,))
creator.create("Tree", gp.PrimitiveTree, fitness=creator.Fitness)
toolbox = base.Toolbox()
toolbox.register("expr", gp.genHalfAndHalf, pset=primitives, min_=1, max_=2)
toolbox.register("individual", tools.initIterate, creator.Tree, toolbox.expr)
toolbox.register("population", tools.initRepeat, list, toolbox.individual)
toolbox.register("compile", gp.compile, pset=primitives)


def error(individual):
    with np.errstate(all="ignore"):
        found = np.mean((toolbox.compile(expr=individual)(*INPUTS) - TARGET) ** 2)
    return (found if np.isfinite(found) else 1e300,)


toolbox.register("evaluate", error)
toolbox.register("select", tools.selTournament, tournsize=3)
toolbox.register("mate", gp.cxOnePoint)
toolbox.register("expr_mut", gp.genFull, min_=0, max_=2)
toolbox.register("mutate", gp.mutUniform, expr=toolbox.expr_mut, pset=primitives)
for name in ("mate", "mutate"):
    toolbox.decorate(name, gp.staticLimit(key=operator.attrgetter("height"), max_value=17))


def evolved(seed: int, generations: int, goal: float) -> dict:
    random.seed(seed)
    population, evaluations, k = toolbox.population(n=POPULATION), 0, 0
    for k in range(generations + 1):
        waiting = [i for i in population if not i.fitness.valid]
        for individual in waiting:
            individual.fitness.values = toolbox.evaluate(individual)
        evaluations += len(waiting)
        best = min(i.fitness.values[0] for i in population)
        if best <= goal or k == generations:
            return {"solved": bool(best <= SOLVED), "generations": k, "evaluations": evaluations}
        chosen = toolbox.select(population, len(population))
        population = algorithms.varAnd(chosen, toolbox, 0.5, 0.1)
    raise AssertionError


def single(seed: int) -> dict:
    return evolved(seed, 40, SOLVED)


def steady(seconds: float) -> dict:
    return repeated(lambda seed: evolved(seed + 100, 8, -1.0)["evaluations"], seconds)


if __name__ == "__main__":
    report("deap", single, steady)
