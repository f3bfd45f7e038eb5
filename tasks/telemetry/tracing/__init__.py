"""OpenTelemetry traces: trace contexts, the tracer, spans of jobs, the sampling rate.

No SDK import before tracing is switched on.
"""
