"""Sources that run in the build's guest, never on the host.

pwasm_compile    compiles one source, without what a filter does not need
colorize         takes the place of the standard library's `_colorize`
"""
