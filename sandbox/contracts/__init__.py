"""Protocols between account, kubernetes and registry, which never import each other."""
