"""Kubernetes resources for a filter: made, checked, applied."""
