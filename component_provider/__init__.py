"""The components that stand alone, for Pulumi programs in any language."""
