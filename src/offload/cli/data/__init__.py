"""Commands about results and buffers."""
