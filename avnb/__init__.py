"Learn from unlabelled video what sounds belong to what sights."
__version__ = '0.1.0'
