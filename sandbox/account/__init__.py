"""An emulated AWS account: moto behind a layer that validates, remembers, refuses and survives."""
