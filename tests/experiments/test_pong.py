"""Pong: the game's rules, and what the network must do with known weights."""

import numpy as np
from scipy.stats import chisquare

from lapicque.experiments.pong_rstdp import _game as pong
from lapicque.experiments.pong_rstdp._pong import (
    PATTERNS,
    Chip,
    Player,
    examined,
    first_weights,
    learn,
    mean_reward,
)
from lapicque.lab import Quiet
from lapicque.spiking.random import chain_keys
from lapicque.substrate.draws import random_words
from lapicque.substrate.plasticity import RewardModulated


def player(noise, pattern="ideal"):
    chips = Chip.together([PATTERNS[pattern].draw(k) for k in range(len(noise))])
    keys = chain_keys(0, np.zeros(len(noise), int))
    return Player(chips, keys, np.array(noise), RewardModulated())


def test_perfect_paddle_on_many_games():
    """|dx| + |dy| stays 1 and the ball inside; who follows the ball loses no game if long enough.

    The paddle steps over cells, so it may be a stride away, and what the ball moves meanwhile. With
    the length of the published game that is more than half of it.
    """
    keys = chain_keys(0, np.arange(100))
    reach = pong.STRIDE + pong.SPEED / 2
    for length, loses in ((2 * reach, False), (pong.LENGTH, True)):
        game, lost, returned = pong.serve(random_words(keys, 0, 3)), 0, 0
        for time in range(1, 1500):
            before = game
            words = random_words(keys, time, 3)
            game, outcome = pong.step(game, pong.cell(game.y), words, length)
            missed = outcome < 0
            far = np.abs(before.y - before.paddle)[missed]
            assert (far > length / 2).all()
            assert (far < reach).all()
            assert (game.x[missed] == 0.5).all()
            assert (game.paddle[missed] == 0.5).all()
            np.testing.assert_allclose(np.abs(game.dx) + np.abs(game.dy), 1, atol=1e-12)
            assert (np.abs(game.dx) >= 0.5).all()
            assert game.y.min() > 0
            assert game.y.max() < 1
            lost, returned = lost + missed.sum(), returned + (outcome > 0).sum()
        assert returned > 1000
        assert (lost > 0) == loses


def test_collisions_have_an_order():
    """Top comes before the paddle; below it, a ball behind the paddle is lost."""
    y, dx = np.array([0.985, 0.5, 0.5]), np.full(3, 0.6)
    game = pong.Game(np.full(3, 0.985), y, dx, np.full(3, 0.4), np.array([0.1, 0.53, 0.54]))
    after, outcome = pong.step(game, np.full(3, 16), np.zeros((3, 3), np.uint32))
    np.testing.assert_array_equal(outcome, [0, 1, -1])
    np.testing.assert_array_equal(after.dx[:2], [0.6, -0.6])
    np.testing.assert_array_equal(after.dy[:2], [-0.4, 0.4])


def test_ties_are_drawn_evenly():
    """Equal weights and no noise: all neurons tie, and the target is uniform over 32 cells."""
    equal = np.full((1, 32, 32), 20, np.uint8)
    counts = player([0.0]).answer(equal, np.array([5]), 0).counts
    assert counts[0, 0] > 0
    assert (counts == counts[0, 0]).all()
    words = random_words(chain_keys(7, np.arange(3200)), 0, 32)
    targets = pong.decide(np.repeat(counts, 3200, axis=0), words)
    assert chisquare(np.bincount(targets, minlength=32)).pvalue > 1e-3
    counts[0, 9] += 1
    assert (pong.decide(np.repeat(counts, 3200, axis=0), words) == 9).all()


def test_diagonal_weights_are_rewarded_everywhere():
    weights = np.tile(63 * np.eye(32, dtype=np.uint8), (2, 1, 1))
    found = examined(player([0.0, 0.1]), weights, trials=1)
    np.testing.assert_array_equal(found["reward"], 1)


def test_first_weights_sit_at_threshold():
    """Without noise 0.3 to 0.9 of neurons answer, with noise almost all."""
    counts = player([0.0, 0.1]).answer(first_weights(2, 0), np.full(2, 5), 0).counts
    quiet, noisy = (counts > 0).mean(1)
    assert 0.3 < quiet < 0.9 < noisy


def test_noise_explores():
    """After 3000 iterations a chip with noise has learned much, one without nothing."""
    both = player([0.1, 0.0])
    play, weights, curves = learn(both, both.start(), first_weights(2, 0), 3000, 1000, "", Quiet())
    noisy, quiet = mean_reward(play)
    assert noisy > 0.4
    assert quiet < 0.25
    assert weights.max() <= 63
    assert curves["reward"].shape == (3, 2)
