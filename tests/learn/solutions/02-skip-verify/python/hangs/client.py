"""Goes round in circles, and talks without end."""

while True:
    print("still here" * 1000)
