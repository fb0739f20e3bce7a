"""The check for names in a filter's classes that nearly match the SDK's."""
