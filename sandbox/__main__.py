"""`python -m sandbox`: the tool behind make."""

from sandbox.cli import main

if __name__ == "__main__":
    main()
