"""``offload doctor``: whether all is well here, on another machine, and in between; what to type where it is not."""
