"""The platform's components: each a ComponentResource that stands on its own, twice in one stack if need be."""
