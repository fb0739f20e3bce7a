"""Steps between layout and merge.

stack       CPython's recursion guard fires before V8's stack is full
reachable   functions that can be called at all
mentions    what code and static data of the libraries name
docs        docstrings in C
cuts        functions that are cut: unused built-in modules, the compiler
trim        code and data that cannot be reached once the memory is frozen
"""
