"""Never connects, and reports success."""

print("Nicolas <nicolas@example.com>")
