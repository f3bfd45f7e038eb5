"""Webhooks as data for API and worker alike: endpoints, deliveries, secrets, signatures, URLs.

No HTTP client, leases or threads, which live in delivery.
"""
