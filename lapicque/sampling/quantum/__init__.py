"""Quantum states as distributions: ground states without signs, and measured qubits."""
