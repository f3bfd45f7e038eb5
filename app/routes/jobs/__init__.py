"""The routes of /v1/jobs, which are too many for one file.

No schemas (app.schemas) and no waiting (app.job_updates).
"""
