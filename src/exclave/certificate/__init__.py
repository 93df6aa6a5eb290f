"""Certificates: what a state keeps to show that its registers come back (spec/certificates.md).

Pure: values and statements. Where they are kept is `exclave.evidence`'s; how they are made, that of
the workflows that prove and drill.
"""
