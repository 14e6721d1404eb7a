"""Questions about the kernel that recordings and the model answer; each has a page in reports/investigations."""
