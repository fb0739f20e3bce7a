"""Asynchronous callbacks: coroutines, timers, and the answers of callouts."""
