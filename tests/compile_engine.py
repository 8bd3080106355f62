"""Fill the cache of compiled code once, before several workers would do so side by side."""

from lapicque.spiking import LIF, STDP, AllToAll, ConductanceExp, Network, Poisson, Simulation

network = Network()
source = network.population(2, Poisson(100.0))
cells = network.population(2, LIF(), ConductanceExp())
network.project(source, cells, AllToAll(), 0.01, 1.0, plasticity=STDP())
simulation = Simulation(network, 0.1)
simulation.run(5.0)
simulation.weights(network.projections[0])
