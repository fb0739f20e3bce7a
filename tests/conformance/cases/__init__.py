"""The table: every case, by the sections of docs/abi.md §5."""
