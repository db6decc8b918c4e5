"""What is sent: checked, and named as AWS names it."""
