"""Questions between layout and merge. None changes anything: `merge` gets the answers.

reachable    functions that can be called at all
references   what code and static data of the libraries name
docs         docstrings in C
cuts         functions that are cut: unused built-in modules, the compiler
trim         code and data that cannot be reached once the memory is frozen; asks the others, and is told the cuts
stack        CPython's recursion guard fires before V8's stack is full: which functions get a frame, and how it looks
"""
