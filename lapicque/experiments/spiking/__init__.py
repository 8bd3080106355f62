"""Networks of spiking neurons by which simulators are measured."""
