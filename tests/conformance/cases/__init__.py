"""The table: every case, by the sections of abi.md §5."""
