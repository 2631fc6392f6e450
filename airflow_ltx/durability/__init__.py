"""What is remembered of a purchase, so that a later try of the same task finds it again."""
