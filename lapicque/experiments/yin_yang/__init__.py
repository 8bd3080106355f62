"""The Yin-Yang data set: three classes on a disc, for early prototyping (Kriener et al. 2022)."""
