"""For every test: compiled code is kept, so that the many processes that tests start are up quickly."""

from sandbox import bytecode

bytecode.keep()
