"""Callbacks that wait: coroutines, timers, and the answers of callouts."""
