"""Steps between layout and merge.

stack       CPython's recursion guard fires before V8's stack is full
reachable   functions that can be called at all
"""
