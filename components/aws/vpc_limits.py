"""Sizes of a VPC, as prefix lengths of its IPv4 network."""

MIN_PREFIX = 16  # the largest VPC that AWS allows
MAX_PREFIX = 20  # leaves a /22 of pods and a /24 of load balancers per zone
