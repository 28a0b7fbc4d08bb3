"""Train a preference model (PM) on comparisons with soft labels, and score conversations with it.

Reads preferences, asked from a judge, made by construction and given by people, mixed; writes a
sequence-classification model with one output that transformers, TRL and vLLM load, and beside it a small
file with the mean and spread of its rewards and the temperature that makes them probabilities. `measure`,
`calibrate`, `probes` say what a model is worth, whoever trained it (`assess`: all of it); `prompted` asks it
behind a prefix.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1 (a PM on soft AI labels mixed with human ones).
"""
