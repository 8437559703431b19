"""Storage of a cluster's objects."""
