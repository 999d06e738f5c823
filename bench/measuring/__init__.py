"""What benchmarks share: printed figures, servers in processes of their own, what child processes cost."""
