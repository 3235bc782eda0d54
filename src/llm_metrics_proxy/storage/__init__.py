"""Where records rest. Only the composition root (``cli``) names a concrete store; everything else sees ``base``."""
