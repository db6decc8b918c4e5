"""What goes out: checked, and spelled as AWS spells it."""
