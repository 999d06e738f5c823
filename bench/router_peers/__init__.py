"""What `router_speed.py` needs beside the router: servers, load, LiteLLM."""
