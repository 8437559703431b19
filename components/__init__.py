"""Pulumi components of the platform; each can exist more than once in a stack."""
