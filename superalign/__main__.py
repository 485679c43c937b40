"""`python -m superalign` does what `superalign` does."""

from superalign.cli.main import main

if __name__ == "__main__":
    main()
