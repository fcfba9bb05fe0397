"""What is kept apart in `solutions` is no test of ours: one exercise is to write a test."""

collect_ignore = ["solutions"]
