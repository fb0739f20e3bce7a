"""One module per command; `pwasm_compiler.cli` lists them and imports the one that is called."""
