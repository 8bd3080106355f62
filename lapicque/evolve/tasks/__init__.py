"""Families of tasks in which rules of plasticity are tried: fitness functions for the search."""
