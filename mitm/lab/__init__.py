"""The lab: loads a scenario, starts server, interceptor and client, and plays both legs."""
