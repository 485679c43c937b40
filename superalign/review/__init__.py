"""Exchanges -> what people should look at, the page where they do, and the files of those who do it elsewhere."""
