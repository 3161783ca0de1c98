"""The device class and the environment: under which hardware and software bits are expected to repeat."""
