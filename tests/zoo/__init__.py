"""Clients with the flaws of real ones, and sound ones that look suspicious."""
