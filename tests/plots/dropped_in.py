"""A figure from a file of its own."""


def draw(material):
    return None
