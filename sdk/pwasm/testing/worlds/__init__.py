"""One test in three worlds: a filter, messages to it, and what came of them."""
