"""Schema, kinds, selectors, quantities and errors of the Kubernetes API."""
