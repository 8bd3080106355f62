import pytest
from toys import write_walk


@pytest.fixture
def walk(tmp_path):
    """Path of the toy experiment `toy/walk`, as text."""
    return str(write_walk(tmp_path / "work"))
