"""`auth = certificate`, `enable-auth = certificate`: client certificates.

auth.py      secmod: whether the certificate that a worker verified lets its user in, and in which group
worker.py    the workers' half: whom a certificate names; imports nothing that workers must not have
"""
