"""Personal data and secrets: find them, take them out, and measure which of them synthetic output gives away."""
