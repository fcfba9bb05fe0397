"""The matrix: every client and policy, everything presented, and what the policy promises."""
