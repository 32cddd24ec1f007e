"""Where and how numbers are computed: device, threads, memory."""
