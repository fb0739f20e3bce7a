"""A plugin's configuration as a value of the type that its class annotates."""
