"""The recipes that ship with Publius: `demo` (minutes on a laptop) and `full` (hours).

Paper: see each file's description.
"""
