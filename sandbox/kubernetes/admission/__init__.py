"""Admission of objects: namespaces, quotas, limits, pod security."""
