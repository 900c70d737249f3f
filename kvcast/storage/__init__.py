"""PostgreSQL, the truth: the only place that speaks SQL. Driver exceptions never leave it."""
