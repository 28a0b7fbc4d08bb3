"""`publius models`: the models that Publius knows by name.

Paper: none.
"""
