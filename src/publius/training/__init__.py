"""The only glue to torch, transformers, trl and peft: weights, chat encoding, trainers.

Nothing is imported here; each module imports its libraries when it is used.

Paper: none.
"""
