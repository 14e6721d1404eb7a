"""What is known of kernels: structures, functions, registers; without tracing."""
