"""`python -m sandbox`: the tool behind make."""

from sandbox import bytecode, searchpath

if __name__ == "__main__":
    searchpath.keep()
    bytecode.keep()
    from sandbox.cli import main

    main()
