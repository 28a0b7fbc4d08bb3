"""`python -m publius.cli`: the same as the command `publius`.

Paper: none.
"""

from publius.cli import main

if __name__ == "__main__":
    main()
