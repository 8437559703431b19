"""Validation rules that the OpenAPI schema lacks."""
