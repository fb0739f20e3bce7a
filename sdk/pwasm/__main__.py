"""`python -m pwasm` is the command `pwasm`, for Python installations whose scripts folder is not on PATH."""

from __future__ import annotations

from pwasm_compiler.cli import main

if __name__ == "__main__":
    main()
