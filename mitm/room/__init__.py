"""The live page of a class: a stage, one's own client, captures, and who is stuck."""
