"""The SDK's records of contexts and of the running callback, and the guards that refuse calls based on them."""
