"""`python -m foveola`: the command line, for where its script is not on the path."""

from foveola.cli import main

if __name__ == "__main__":
    main()
