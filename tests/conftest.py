"""Fixtures for all rooms."""

import pytest


@pytest.fixture
def x64():
    """Double precision for the length of a test."""
    import jax

    with jax.enable_x64(True):
        yield
