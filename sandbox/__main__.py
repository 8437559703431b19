"""`python -m sandbox`: the sandbox's command line."""

from sandbox.runtime import interpreter


def main() -> None:
    """Isolate the interpreter before anything large is imported, then run the command line."""
    interpreter.isolate()
    from sandbox.cli import main as command_line  # noqa: PLC0415 - only after isolation

    command_line()


if __name__ == "__main__":
    main()
