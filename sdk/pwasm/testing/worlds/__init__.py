"""One test in three worlds: a filter, the messages it receives, and the results."""
