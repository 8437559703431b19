"""Resources that only the state holds: types that are not emulated, with `--unemulated record`."""

MARK = "__recorded"
"""The input that marks such a resource in the state."""
