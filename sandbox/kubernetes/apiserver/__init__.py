"""The API server: HTTPS, routes, authorization and verbs on objects."""
