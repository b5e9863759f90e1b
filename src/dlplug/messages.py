def shorten(message): return message
