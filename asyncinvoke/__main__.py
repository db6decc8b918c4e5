"""`python -m asyncinvoke`: the command line."""

from asyncinvoke.cli import main

if __name__ == "__main__":
    main()
