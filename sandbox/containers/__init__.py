"""Runs pods in a container engine or as processes; serves Services and pod identity on loopback."""
