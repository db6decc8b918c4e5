"""The management operations that SDK code needs to set up functions before it invokes them."""
