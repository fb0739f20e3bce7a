"""Kubernetes resources for a filter: generate, validate, apply."""
