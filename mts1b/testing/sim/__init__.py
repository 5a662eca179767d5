"""The order core on simulated time, in one thread, from a seed: processes that die and stop, messages that get lost.

`run_seed(seed)` is one whole story; what it finds, it finds again from the same seed. `mts sim` runs many.
"""
