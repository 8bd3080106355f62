"""A suite of small experiments on one chip, BrainScaleS-2 (Billaudelle et al. 2019).

First-spike patterns, sampling, Pong and structural plasticity, each in short, and a table over all
of them. Insect navigation, which the work shows as well, is not here.
"""
