"""Messages to people when something needs them: what is said, and where to."""
