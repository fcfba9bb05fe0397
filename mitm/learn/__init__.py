"""The exercises: small flawed clients that a learner mends, graded by what they do on the wire."""
