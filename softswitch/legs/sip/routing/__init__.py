"""Routing of SIP requests: request filter and policy for those received, dial plan for calls placed."""
