"""The game: a ball in a square with three walls, and a paddle on the right.

Pure functions of arrays whose axis is games. Whole iterations are the unit of time, the side of the
square that of length. There is no opponent.

Source:
    Constants, order of updates and of collisions: released code of Wunderlich et al. (2019). In it
    a collision turns the velocity round; here it points away from the wall afterwards, which is the
    same but in corners, where a ball could shake within the wall.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

CELLS = 32
SPEED, RADIUS = 0.025, 0.02  # of the ball
LENGTH, STRIDE = 0.07, 0.05  # of the paddle, and how far it moves in an iteration
LEVELS = (1.0, 0.7, 0.4, 0.1)  # reward by distance in cells


class Game(NamedTuple):
    """Where things are, each of shape (games,)."""

    x: Values  # of the ball
    y: Values
    dx: Values  # its direction, |dx| + |dy| = 1
    dy: Values
    paddle: Values  # its middle


def serve(words: NDArray[np.uint32]) -> Game:
    """A ball in the middle with a random direction, half of it or more to a side.

    Args:
        words: Random, shape (games, 3 or more); only their lowest 8 bits are looked at.
    """
    bits = words[:, :3].astype(np.int64) & 255
    dx = 0.5 + 0.5 * (bits[:, 0] * 128 + (bits[:, 1] >> 1) + 0.5) / 2**15
    middle = np.full(len(words), 0.5)
    signs = 1.0 - 2.0 * (bits[:, 1:3] & 1)
    return Game(middle, middle, signs[:, 0] * dx, signs[:, 1] * (1 - dx), middle)


def cell(y: Values) -> NDArray[np.int64]:
    """The cell of a height."""
    return np.clip(y * CELLS, 0, CELLS - 1).astype(np.int64)


def step(
    game: Game, target: NDArray[np.integer], words: NDArray[np.uint32], length: float = LENGTH
) -> tuple[Game, NDArray[np.int64]]:
    """An iteration: collisions where the ball is, then ball and paddle move.

    Top and bottom come first, then the left wall, then the paddle; where one of them is met, the
    next are not looked at. A game that is lost starts anew.

    Args:
        target: Cell to which the paddle moves.
        words: For the next serve, see there.
        length: Of the paddle.

    Returns:
        The game, and for each 1 if the paddle met the ball, -1 if it missed it.

    A paddle that always moves to the ball's cell still misses some: it steps over cells, so that it
    may be up to a stride away, which is more than half its length.
    """
    x, y, dx, dy, paddle = game
    top, bottom = y + RADIUS >= 1, y - RADIUS <= 0
    free = ~(top | bottom)
    left = free & (x - RADIUS <= 0)
    right = free & ~left & (x + RADIUS >= 1)
    caught = right & (np.abs(y - paddle) <= length / 2)
    lost = right & ~caught
    dy = np.where(top, -np.abs(dy), np.where(bottom, np.abs(dy), dy))
    dx = np.where(left, np.abs(dx), np.where(caught, -np.abs(dx), dx))
    paddle = np.clip(paddle + STRIDE * np.sign(target - cell(paddle)), 0, 1)
    moved = Game(x + SPEED * dx, y + SPEED * dy, dx, dy, paddle)
    if lost.any():
        new = serve(words)
        moved = Game(*(np.where(lost, a, b) for a, b in zip(new, moved, strict=True)))
    return moved, caught.astype(np.int64) - lost


def decide(counts: NDArray[np.integer], words: NDArray[np.uint32]) -> NDArray[np.int64]:
    """The neuron with most spikes in each game; of several, one at random.

    Args:
        counts: Shape (games, neurons).
        words: Random, same shape; only their highest 24 bits are looked at.
    """
    return np.argmax((counts.astype(np.int64) << 24) | (words >> np.uint32(8)), axis=1)
