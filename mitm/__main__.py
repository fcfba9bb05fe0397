"""`python -m mitm`: the command line, where no script is on the path."""

from mitm.cli import main

if __name__ == "__main__":
    main()
