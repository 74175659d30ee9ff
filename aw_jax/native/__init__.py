"""Layer 0: compiles C++ kernels at first use; the headers they share."""
