"""Analyses between layout and merge. None changes anything: `merge` gets the results.

reachable    functions that can be called at all
references   what code and static data of the libraries refer to
docs         docstrings in C
cuts         functions to cut: unused built-in modules, the compiler
trim         code and data that are unreachable once the memory is frozen; uses the others, and gets the cuts
stack        makes CPython's recursion guard trigger before V8's stack is full: which functions get a frame
loops        makes CPython's loops end when the time budget is spent: which functions ask the shim
functions    finds functions by name, for the others
"""
