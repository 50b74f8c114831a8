"""What the audit service decides: who writes, what a batch becomes, who is told, when the chain is vouched for."""
