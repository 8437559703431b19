"""`python -m sandbox`: the tool behind make."""

from sandbox import bytecode

if __name__ == "__main__":
    bytecode.keep()
    from sandbox.cli import main

    main()
