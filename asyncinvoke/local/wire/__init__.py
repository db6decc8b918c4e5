"""HTTP and Lambda's wire protocol: what arrives, and how it is answered."""
