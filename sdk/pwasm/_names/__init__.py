"""Names in a filter's classes that are nearly the SDK's."""
