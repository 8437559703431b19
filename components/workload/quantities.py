"""Quantities in the form in which the Kubernetes API stores them.

The API server rewrites `1000m` to `1` and `1024Mi` to `1Gi`; a refresh would report the difference.
Source: the canonical form of k8s.io/apimachinery/pkg/api/resource.Quantity.
"""


def cpu(millicores: int) -> str:
    """CPU quantity, in whole cores where possible."""
    cores, rest = divmod(millicores, 1000)
    return f"{millicores}m" if rest else str(cores)


def memory(mib: int) -> str:
    """Memory quantity, in the largest binary unit without a fraction."""
    units = ["Mi", "Gi", "Ti", "Pi"]
    while mib % 1024 == 0 and len(units) > 1:
        mib //= 1024
        units.pop(0)
    return f"{mib}{units[0]}"
