"""Conformance of the emulated API server with a real one."""
