"""Sources that run in the build's guest, never on the host.

pwasm_compile    compiles one source, leaving out what a filter does not need
colorize         replaces the standard library's `_colorize`
"""
