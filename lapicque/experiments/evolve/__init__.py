"""Searches by which engines of evolution are measured."""
